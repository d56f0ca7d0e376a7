//! The state of one connection, shared by its task and the handles of its streams.

use std::{
    cell::{RefCell, RefMut},
    collections::VecDeque,
    io,
    rc::Rc,
    task::{Context, Waker},
};

use http::{Method, request};
use tokio::time::Instant;

use super::{
    Error, ErrorCode, Excess, PREFACE,
    excess::Counts,
    fault::Fault,
    frame::{self, setting},
    hpack::Decoder,
    message::Block,
    outbox::Outbox,
    receive::Reading,
    stream::{Stream, StreamRef},
};

/// Every window before SETTINGS (RFC 9113 section 6.9.2).
const FIRST_WINDOW: u32 = 65_535;

/// Initial size of the peer's dynamic table, in which it decodes our headers.
const HEADER_TABLE: usize = 4 * 1024;

/// Streams that were reset by this side and whose frames may still arrive.
const RESET_LATELY: usize = 128;

/// Capacity for streams that an unused connection keeps.
const STREAMS_KEPT: usize = 8;

/// The highest stream number.
const LAST_STREAM: u32 = 0x7fff_ffff;

/// The side of this proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The peer opens streams.
    Server,
    /// This side opens streams.
    Client,
}

/// The settings that are sent to the peer and enforced.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) side: Side,
    /// Most concurrent streams that the peer may open.
    pub(crate) streams: u32,
    /// Bytes that the peer may send on a stream before any of them is read, and on all streams
    /// together.
    pub(crate) stream_window: u32,
    pub(crate) connection_window: u32,
    /// Bytes of the headers of a head, counted as in RFC 9113 section 6.5.2.
    pub(crate) header_list: u32,
}

/// The shared state. A borrow must not be held across a call that may borrow it again.
#[derive(Debug)]
pub(crate) struct Shared(RefCell<State>);

/// A request whose head has arrived.
pub(crate) struct Accepted {
    pub(crate) head: request::Parts,
    pub(crate) stream: StreamRef,
}

/// Rejections that the task of a client connection has not reported yet.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusals {
    /// Malformed heads.
    pub(crate) malformed: u64,
    /// Streams over the limit.
    pub(crate) streams: u64,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) settings: Settings,
    pub(super) out: Outbox,
    /// Woken when there is something to write.
    pub(super) task: Option<Waker>,
    /// It is woken already.
    pub(super) is_woken: bool,
    pub(super) streams: Vec<Option<Stream>>,
    pub(super) free: Vec<usize>,
    /// Numbers of the open streams, in order, and their slots.
    pub(super) open: VecDeque<(u32, usize)>,
    /// Streams with data that the peer's windows allow now.
    pub(super) queue: VecDeque<usize>,
    /// Requests that the task has not taken yet.
    pub(super) arrived: VecDeque<(request::Parts, usize)>,
    /// Those of them that were reset already.
    pub(super) unseen_resets: usize,
    pub(super) refusals: Refusals,
    /// The newest stream of either side.
    pub(super) newest: u32,
    pub(super) reset_lately: VecDeque<u32>,
    // What the peer accepts.
    pub(super) send_window: i64,
    pub(super) peer_window: i64,
    pub(super) peer_frame: usize,
    pub(super) peer_streams: usize,
    pub(super) has_settings: bool,
    /// The peer's table is smaller than the default: tell it once that the encoder uses none.
    pub(super) announce_table: bool,
    // What the peer may send.
    pub(super) receive_window: i64,
    pub(super) released: u32,
    pub(super) reading: Reading,
    pub(super) decoder: Decoder,
    pub(super) counts: Counts,
    /// Since when a header block, or the header of a frame, has been incomplete.
    pub(super) head_since: Option<Instant>,
    pub(super) closing: Closing,
    /// The peer accepts no new streams.
    pub(super) peer_closing: bool,
    /// Why the connection ended.
    pub(super) error: Option<Error>,
    pub(super) excess: Option<Excess>,
}

/// The progress of an orderly close (RFC 9113 section 6.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    /// Not started.
    No,
    /// The first GOAWAY was sent, with a PING to confirm that the peer has received it.
    Announced,
    /// Streams above this one are ignored; the connection ends with the last stream.
    Since(u32),
}

/// The payload of that PING.
pub(super) const CLOSE_PING: [u8; 8] = *b"farewell";

impl Shared {
    /// A new connection; the first frames are in the output buffer.
    pub(crate) fn new(settings: Settings) -> Rc<Self> {
        Rc::new(Self(RefCell::new(State::new(settings))))
    }

    pub(super) fn state(&self) -> RefMut<'_, State> {
        self.0.borrow_mut()
    }

    /// Starts an orderly close; open streams, and streams that are on the way, are served.
    pub(crate) fn go_away(&self) {
        self.state().go_away();
    }

    /// Closes the connection with GOAWAY, and all streams with it.
    pub(crate) fn abort(&self, reason: ErrorCode, why: &'static str) {
        self.state().fail(reason, why);
    }

    /// Closes the connection after its last stream: no other will be opened.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.closing = Closing::Since(0);
        state.wake();
    }

    /// Heads and streams that were rejected since the last call.
    pub(crate) fn take_refusals(&self) -> Refusals {
        std::mem::take(&mut self.state().refusals)
    }

    /// The next request.
    pub(super) fn take_request(self: &Rc<Self>) -> Option<Accepted> {
        let mut state = self.state();
        state.unseen_resets = 0;
        while let Some((head, key)) = state.arrived.pop_front() {
            // A malformed request has its own log line.
            if !matches!(
                state.stream(key).error,
                Some(Error::Reset(_) | Error::Cancelled(_))
            ) {
                let stream = StreamRef {
                    connection: Rc::clone(self),
                    key,
                };
                return Some(Accepted { head, stream });
            }
            state.drop_handle(key); // reset before it was taken
        }
        None
    }

    /// The kind of excess that the connection was closed for, if any.
    pub(crate) fn excess(&self) -> Option<Excess> {
        self.state().excess
    }

    /// Since when a header block, or the header of a frame, has been incomplete.
    pub(crate) fn head_since(&self) -> Option<Instant> {
        self.state().head_since
    }

    /// Whether the peer's SETTINGS have arrived.
    pub(crate) fn has_settings(&self) -> bool {
        self.state().has_settings
    }

    /// Concurrent streams that the peer allows.
    pub(crate) fn peer_streams(&self) -> usize {
        self.state().peer_streams
    }

    /// Whether no new stream may be opened.
    pub(crate) fn has_ended(&self) -> bool {
        let state = self.state();
        state.error.is_some() || state.peer_closing || state.newest >= LAST_STREAM - 1
    }

    /// Opens a stream with a request head that `write` encodes; `last` when nothing follows.
    ///
    /// # Errors
    /// The connection has ended, and nothing was sent.
    pub(crate) fn open(
        self: &Rc<Self>,
        method: &Method,
        last: bool,
        write: impl FnOnce(&mut Block<'_>),
    ) -> Result<StreamRef, Error> {
        let key = self.state().request(method, last, write)?;
        Ok(StreamRef {
            connection: Rc::clone(self),
            key,
        })
    }
}

impl State {
    fn new(settings: Settings) -> Self {
        let mut out = Outbox::default();
        let first = [
            (setting::INITIAL_WINDOW_SIZE, settings.stream_window),
            (setting::MAX_HEADER_LIST_SIZE, settings.header_list),
            match settings.side {
                Side::Server => (setting::MAX_CONCURRENT_STREAMS, settings.streams),
                Side::Client => (setting::ENABLE_PUSH, 0),
            },
        ];
        if settings.side == Side::Client {
            out.own().extend_from_slice(PREFACE);
        }
        frame::write_settings(out.own(), &first);
        frame::write_window_update(out.own(), 0, settings.connection_window - FIRST_WINDOW);
        Self {
            out,
            task: None,
            is_woken: false,
            streams: Vec::new(),
            free: Vec::new(),
            open: VecDeque::new(),
            queue: VecDeque::new(),
            arrived: VecDeque::new(),
            unseen_resets: 0,
            refusals: Refusals::default(),
            newest: 0,
            reset_lately: VecDeque::new(),
            send_window: i64::from(FIRST_WINDOW),
            peer_window: i64::from(FIRST_WINDOW),
            peer_frame: frame::LONGEST,
            peer_streams: usize::MAX,
            has_settings: false,
            announce_table: false,
            receive_window: i64::from(settings.connection_window),
            released: 0,
            reading: Reading::new(settings.side),
            decoder: Decoder::new(HEADER_TABLE),
            counts: Counts::new(),
            head_since: None,
            closing: Closing::No,
            peer_closing: false,
            error: None,
            excess: None,
            settings,
        }
    }

    /// Wakes the task to write.
    pub(super) fn wake(&mut self) {
        if !self.is_woken
            && let Some(task) = &self.task
        {
            self.is_woken = true;
            task.wake_by_ref();
        }
    }

    /// The task has started to run: it need not be woken until it has checked the state.
    pub(super) fn task_started(&mut self, cx: &Context<'_>) {
        match &mut self.task {
            Some(task) => task.clone_from(cx.waker()),
            None => self.task = Some(cx.waker().clone()),
        }
        self.is_woken = true;
    }

    /// The stream of a handle.
    pub(super) fn stream(&mut self, key: usize) -> &mut Stream {
        self.streams[key]
            .as_mut()
            .expect("a stream lives as long as its handles")
    }

    /// The open stream with this number.
    pub(super) fn find(&self, id: u32) -> Option<usize> {
        let place = self.open.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(self.open[place].1)
    }

    /// Whether a stream with this number was never opened.
    pub(super) fn is_idle(&self, id: u32) -> bool {
        id > self.newest || (id & 1) == 0
    }

    /// Adds a stream with one handle.
    pub(super) fn add(&mut self, id: u32) -> usize {
        let stream = Stream::new(id, self.settings.stream_window, self.peer_window);
        let key = match self.free.pop() {
            Some(key) => {
                self.streams[key] = Some(stream);
                key
            }
            None => {
                self.streams.push(Some(stream));
                self.streams.len() - 1
            }
        };
        self.newest = id;
        self.open.push_back((id, key));
        key
    }

    /// Removes a stream if it is closed. Called whenever a stream may have become closed.
    pub(super) fn close_if_done(&mut self, key: usize) {
        let stream = self.stream(key);
        if !stream.is_closed() {
            return;
        }
        let (id, has_handles, queued) = (stream.id, stream.handles > 0, stream.sending.queued);
        if let Ok(place) = self.open.binary_search_by_key(&id, |(id, _)| *id) {
            self.open.remove(place);
            if self.open.is_empty() && (self.closing != Closing::No || self.peer_closing) {
                self.wake(); // that was the last
            }
        }
        if has_handles {
            return;
        }
        // A key is reused, so it must not stay in the queue.
        if queued {
            self.queue.retain(|one| *one != key);
        }
        // Without this the connection window would shrink for ever by what was not read.
        let unread = self.stream(key).receiving.data.len();
        self.release_connection(unread);
        self.streams[key] = None;
        self.free.push(key);
        if self.free.len() == self.streams.len() && self.streams.len() > STREAMS_KEPT {
            // Capacity for many streams is not kept while there are none.
            (self.streams, self.free) = (Vec::new(), Vec::new());
        }
    }

    /// A handle was dropped. The last one resets a stream that is still open.
    pub(super) fn drop_handle(&mut self, key: usize) {
        let side = self.settings.side;
        let stream = self.stream(key);
        stream.handles -= 1;
        if stream.handles > 0 {
            return;
        }
        if !stream.is_closed() {
            match (side, stream.sending.is_whole()) {
                // The response is or will be complete: the client need not send more.
                (Side::Server, true) if !stream.sending.ended => return,
                (Side::Server, true) => self.cancel(key, ErrorCode::NO_ERROR),
                _ => self.cancel(key, ErrorCode::CANCEL),
            }
            return;
        }
        self.close_if_done(key);
    }

    /// Resets a stream that is open.
    pub(super) fn cancel(&mut self, key: usize, reason: ErrorCode) {
        if self.stream(key).is_closed() {
            return;
        }
        self.send_reset(key, reason);
        self.stream(key).fail(Error::Cancelled(reason));
        self.close_if_done(key);
    }

    /// Resets a stream because of an error of the peer.
    pub(super) fn reset(
        &mut self,
        key: usize,
        reason: ErrorCode,
        why: &'static str,
    ) -> Result<(), Fault> {
        let begun = self.stream(key).sending.begun;
        self.send_reset(key, reason);
        self.stream(key).fail(Error::Stream(reason, why));
        self.close_if_done(key);
        if begun || reason == ErrorCode::NO_ERROR {
            Ok(())
        } else {
            self.count_reset()
        }
    }

    /// Counts a stream that was reset before the head of its response.
    pub(super) fn count_reset(&mut self) -> Result<(), Fault> {
        match self.settings.side {
            Side::Server => self.counts.reset(self.open.len()).map_err(Fault::excess),
            Side::Client => Ok(()),
        }
    }

    fn send_reset(&mut self, key: usize, reason: ErrorCode) {
        let id = self.stream(key).id;
        self.write_reset(id, reason);
    }

    /// Writes RST_STREAM, also for a stream that does not exist any more.
    pub(super) fn write_reset(&mut self, id: u32, reason: ErrorCode) {
        frame::write_reset(self.out.own(), id, reason);
        self.ignore(id);
        self.wake();
    }

    /// Ignores further frames on this stream.
    pub(super) fn ignore(&mut self, id: u32) {
        if self.reset_lately.len() == RESET_LATELY {
            self.reset_lately.pop_front();
        }
        self.reset_lately.push_back(id);
    }

    /// Closes the connection because of the peer's error or inactivity.
    pub(super) fn fail(&mut self, reason: ErrorCode, why: &'static str) {
        if self.error.is_none() {
            let newest = if self.settings.side == Side::Server {
                self.newest
            } else {
                0
            };
            frame::write_go_away(self.out.own(), newest, reason);
            self.end(Error::Connection(reason, why));
        }
    }

    /// The socket failed.
    pub(super) fn fail_io(&mut self, error: &io::Error) {
        // Nothing can be written any more, not even GOAWAY.
        self.out.clear();
        self.end(Error::io(error));
    }

    /// Ends the connection, and all streams with it.
    pub(super) fn end(&mut self, error: Error) {
        if self.error.is_some() {
            return;
        }
        self.error = Some(error.clone());
        self.queue.clear();
        let keys: Vec<usize> = self.open.iter().map(|(_, key)| *key).collect();
        for key in keys {
            let stream = self.stream(key);
            stream.sending.queued = false;
            stream.fail(error.clone());
            self.close_if_done(key);
        }
        self.wake();
    }

    fn go_away(&mut self) {
        if self.closing == Closing::No && self.error.is_none() {
            // The first GOAWAY excludes no stream. The peer acknowledges the PING after it has read
            // GOAWAY, so every stream that it opened before has arrived by then (RFC 9113 section
            // 6.8).
            frame::write_go_away(self.out.own(), LAST_STREAM, ErrorCode::NO_ERROR);
            frame::write_ping(self.out.own(), 0, CLOSE_PING);
            self.closing = Closing::Announced;
            self.wake();
        }
    }

    /// The peer has received the first GOAWAY: all streams that it opened before have arrived.
    pub(super) fn close_confirmed(&mut self) {
        if self.closing == Closing::Announced {
            frame::write_go_away(self.out.own(), self.newest, ErrorCode::NO_ERROR);
            self.closing = Closing::Since(self.newest);
        }
    }

    /// Whether a closing connection has nothing left to do.
    pub(super) fn is_done(&self) -> bool {
        (matches!(self.closing, Closing::Since(_)) || self.peer_closing)
            && self.open.is_empty()
            && self.arrived.is_empty()
    }

    /// A reader has taken these bytes of a stream: the peer may send as many more.
    pub(super) fn release(&mut self, key: usize, bytes: usize) {
        let half = self.settings.stream_window / 2;
        let stream = self.stream(key);
        let receiving = &mut stream.receiving;
        receiving.released += bytes as u32;
        // Half a window at a time: fewer frames than one for each read, and the peer never has to
        // wait.
        if receiving.released >= half && !receiving.ended && stream.error.is_none() {
            let (id, more) = (stream.id, std::mem::take(&mut receiving.released));
            receiving.window += i64::from(more);
            frame::write_window_update(self.out.own(), id, more);
            self.wake();
        }
        self.release_connection(bytes);
    }

    /// The same for the connection only.
    pub(super) fn release_connection(&mut self, bytes: usize) {
        self.released += bytes as u32;
        if self.released >= self.settings.connection_window / 2 && self.error.is_none() {
            let more = std::mem::take(&mut self.released);
            self.receive_window += i64::from(more);
            frame::write_window_update(self.out.own(), 0, more);
            self.wake();
        }
    }
}
