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

/// The table with which the peer's fields are packed: what every peer starts with.
const HEADER_TABLE: usize = 4 * 1024;

/// Streams that we reset and whose frames may still be on their way.
const RESET_LATELY: usize = 128;

/// Room for streams that a connection without any keeps.
const STREAMS_KEPT: usize = 8;

/// The last number that a stream can have.
const LAST_STREAM: u32 = 0x7fff_ffff;

/// Which side we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The peer opens streams.
    Server,
    /// We open streams.
    Client,
}

/// What we tell the peer, and what we hold it to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Which side we are.
    pub(crate) side: Side,
    /// Streams that the peer may have open, where it opens them.
    pub(crate) streams: u32,
    /// Bytes that the peer may send on a stream before any of them is read, and on all together.
    pub(crate) stream_window: u32,
    pub(crate) connection_window: u32,
    /// Bytes of the fields of a head, as RFC 9113 section 6.5.2 counts them.
    pub(crate) header_list: u32,
}

/// The state, and who may look at it: never across a call that could come back to it.
#[derive(Debug)]
pub(crate) struct Shared(RefCell<State>);

/// A request whose head has come.
pub(crate) struct Accepted {
    pub(crate) head: request::Parts,
    pub(crate) stream: StreamRef,
}

/// What the task of a server's connection has not told yet.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusals {
    /// Heads that no request could be made of.
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
    /// It knows already that it has something to do.
    pub(super) is_woken: bool,
    pub(super) streams: Vec<Option<Stream>>,
    pub(super) free: Vec<usize>,
    /// The streams that are not closed by their numbers, in order, and where they stand.
    pub(super) open: VecDeque<(u32, usize)>,
    /// Streams with data that the peer would take now.
    pub(super) queue: VecDeque<usize>,
    /// Requests that the task has not taken yet.
    pub(super) arrived: VecDeque<(request::Parts, usize)>,
    /// Those of them that were reset already.
    pub(super) unseen_resets: usize,
    pub(super) refusals: Refusals,
    /// The newest stream that the peer opened, or that we opened.
    pub(super) newest: u32,
    pub(super) reset_lately: VecDeque<u32>,
    // What the peer takes.
    pub(super) send_window: i64,
    pub(super) peer_window: i64,
    pub(super) peer_frame: usize,
    pub(super) peer_streams: usize,
    pub(super) has_settings: bool,
    /// The peer has a smaller table than we could use: it hears once that we use none.
    pub(super) tell_table: bool,
    // What the peer may send.
    pub(super) receive_window: i64,
    pub(super) released: u32,
    pub(super) reading: Reading,
    pub(super) decoder: Decoder,
    pub(super) counts: Counts,
    /// Since when a header block, or the head of a frame, has been incomplete.
    pub(super) head_since: Option<Instant>,
    pub(super) going: Going,
    /// The peer takes no new streams.
    pub(super) peer_goes: bool,
    /// Why the connection ended.
    pub(super) error: Option<Error>,
    pub(super) excess: Option<Excess>,
}

/// How far we are with ending the connection in good order (RFC 9113 section 6.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Going {
    /// Not at all.
    No,
    /// The peer was told that there will be an end, and asked to confirm it.
    Told,
    /// Streams above this one are ignored; the connection ends with the last stream.
    Since(u32),
}

/// What the PING says that asks for a confirmation.
pub(super) const FAREWELL: [u8; 8] = *b"farewell";

impl Shared {
    /// A connection on which nothing was said; what we say first is ready to be written.
    pub(crate) fn new(settings: Settings) -> Rc<Self> {
        Rc::new(Self(RefCell::new(State::new(settings))))
    }

    pub(super) fn state(&self) -> RefMut<'_, State> {
        self.0.borrow_mut()
    }

    /// Asks the peer to end the connection; streams that are open, or under way, are served.
    pub(crate) fn go_away(&self) {
        self.state().go_away();
    }

    /// Ends the connection with GOAWAY, and all streams with it.
    pub(crate) fn abort(&self, reason: ErrorCode, why: &'static str) {
        self.state().fail(reason, why);
    }

    /// Ends the connection with its last stream: no other will be opened.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.going = Going::Since(0);
        state.wake();
    }

    /// Heads and streams that were refused since this was last called.
    pub(crate) fn take_refusals(&self) -> Refusals {
        std::mem::take(&mut self.state().refusals)
    }

    /// The next request.
    pub(super) fn take_request(self: &Rc<Self>) -> Option<Accepted> {
        let mut state = self.state();
        state.unseen_resets = 0;
        while let Some((head, key)) = state.arrived.pop_front() {
            // A malformed one says so in its own line of the log.
            if !matches!(
                state.stream(key).error,
                Some(Error::Reset(_) | Error::GivenUp(_))
            ) {
                let stream = StreamRef {
                    connection: Rc::clone(self),
                    key,
                };
                return Some(Accepted { head, stream });
            }
            state.let_go(key); // reset before it was seen
        }
        None
    }

    /// What the peer did too often, if it was sent away for that.
    pub(crate) fn excess(&self) -> Option<Excess> {
        self.state().excess
    }

    /// Since when a header block, or the head of a frame, has been incomplete.
    pub(crate) fn head_since(&self) -> Option<Instant> {
        self.state().head_since
    }

    /// Whether the peer's SETTINGS came.
    pub(crate) fn has_settings(&self) -> bool {
        self.state().has_settings
    }

    /// Streams that the peer lets us open.
    pub(crate) fn peer_streams(&self) -> usize {
        self.state().peer_streams
    }

    /// Whether no new stream may be opened.
    pub(crate) fn has_ended(&self) -> bool {
        let state = self.state();
        state.error.is_some() || state.peer_goes || state.newest >= LAST_STREAM - 1
    }

    /// Opens a stream with the head of a request, which `write` writes; `last` when nothing follows.
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
            tell_table: false,
            receive_window: i64::from(settings.connection_window),
            released: 0,
            reading: Reading::new(settings.side),
            decoder: Decoder::new(HEADER_TABLE),
            counts: Counts::new(),
            head_since: None,
            going: Going::No,
            peer_goes: false,
            error: None,
            excess: None,
            settings,
        }
    }

    /// Has the task write what there is.
    pub(super) fn wake(&mut self) {
        if !self.is_woken
            && let Some(task) = &self.task
        {
            self.is_woken = true;
            task.wake_by_ref();
        }
    }

    /// The task begins to look: it need not be woken until it has looked.
    pub(super) fn task_looks(&mut self, cx: &Context<'_>) {
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

    /// The stream with this number, if it is not closed.
    pub(super) fn find(&self, id: u32) -> Option<usize> {
        let place = self.open.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(self.open[place].1)
    }

    /// Whether a stream with this number was never opened.
    pub(super) fn is_idle(&self, id: u32) -> bool {
        id > self.newest || (id & 1) == 0
    }

    /// Adds a stream that has one handle.
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

    /// To be called when a stream may have become closed.
    pub(super) fn close_if_done(&mut self, key: usize) {
        let stream = self.stream(key);
        if !stream.is_closed() {
            return;
        }
        let (id, has_handles, queued) = (stream.id, stream.handles > 0, stream.sending.queued);
        if let Ok(place) = self.open.binary_search_by_key(&id, |(id, _)| *id) {
            self.open.remove(place);
            if self.open.is_empty() && (self.going != Going::No || self.peer_goes) {
                self.wake(); // that was the last
            }
        }
        if has_handles {
            return;
        }
        if queued {
            self.queue.retain(|one| *one != key);
        }
        let unread = self.stream(key).receiving.data.len();
        self.release_connection(unread);
        self.streams[key] = None;
        self.free.push(key);
        if self.free.len() == self.streams.len() && self.streams.len() > STREAMS_KEPT {
            // What many streams needed is not kept while there are none.
            (self.streams, self.free) = (Vec::new(), Vec::new());
        }
    }

    /// A handle is gone. The last one ends what it leaves behind.
    pub(super) fn let_go(&mut self, key: usize) {
        let side = self.settings.side;
        let stream = self.stream(key);
        stream.handles -= 1;
        if stream.handles > 0 {
            return;
        }
        if !stream.is_closed() {
            match (side, stream.sending.is_whole()) {
                // The response is there to its end, or will be: the client need not send more.
                (Side::Server, true) if !stream.sending.ended => return,
                (Side::Server, true) => self.give_up(key, ErrorCode::NO_ERROR),
                _ => self.give_up(key, ErrorCode::CANCEL),
            }
            return;
        }
        self.close_if_done(key);
    }

    /// Resets a stream that is not closed.
    pub(super) fn give_up(&mut self, key: usize, reason: ErrorCode) {
        if self.stream(key).is_closed() {
            return;
        }
        self.send_reset(key, reason);
        self.stream(key).fail(Error::GivenUp(reason));
        self.close_if_done(key);
    }

    /// Resets a stream for what the peer sent on it.
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

    /// A stream without the head of its response was reset.
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

    /// Resets a stream that need not be there any more.
    pub(super) fn write_reset(&mut self, id: u32, reason: ErrorCode) {
        frame::write_reset(self.out.own(), id, reason);
        self.pass_over(id);
        self.wake();
    }

    /// What still comes on this stream is passed over.
    pub(super) fn pass_over(&mut self, id: u32) {
        if self.reset_lately.len() == RESET_LATELY {
            self.reset_lately.pop_front();
        }
        self.reset_lately.push_back(id);
    }

    /// Ends the connection for what the peer did, or for what it did not do.
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
        self.out.clear();
        self.end(Error::io(error));
    }

    /// The connection has ended, and all streams with it.
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
        if self.going == Going::No && self.error.is_none() {
            frame::write_go_away(self.out.own(), LAST_STREAM, ErrorCode::NO_ERROR);
            frame::write_ping(self.out.own(), 0, FAREWELL);
            self.going = Going::Told;
            self.wake();
        }
    }

    /// The peer has heard that there will be an end: what it sent before has come.
    pub(super) fn farewell_confirmed(&mut self) {
        if self.going == Going::Told {
            frame::write_go_away(self.out.own(), self.newest, ErrorCode::NO_ERROR);
            self.going = Going::Since(self.newest);
        }
    }

    /// Whether nothing is left to be done on a connection that was asked to end.
    pub(super) fn is_done(&self) -> bool {
        (matches!(self.going, Going::Since(_)) || self.peer_goes)
            && self.open.is_empty()
            && self.arrived.is_empty()
    }

    /// A reader has taken these bytes of a stream: the peer may send as many more.
    pub(super) fn release(&mut self, key: usize, bytes: usize) {
        let half = self.settings.stream_window / 2;
        let stream = self.stream(key);
        let receiving = &mut stream.receiving;
        receiving.released += bytes as u32;
        if receiving.released >= half && !receiving.ended && stream.error.is_none() {
            let (id, more) = (stream.id, std::mem::take(&mut receiving.released));
            receiving.window += i64::from(more);
            frame::write_window_update(self.out.own(), id, more);
            self.wake();
        }
        self.release_connection(bytes);
    }

    /// The same for the connection alone.
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
