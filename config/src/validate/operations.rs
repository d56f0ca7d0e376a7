//! Workers, telemetry, status and admin, reload, lifecycle.

use std::net::SocketAddr;

use crate::{
    block::{
        At, Either, Percent, Word,
        field::{flag, time, time_or_off, word},
        problem::Report,
    },
    model::{AccessLog, AccessLogFormat, Lifecycle, Reload, ServerAddress, Telemetry, Workers},
    part::{address, words::Off},
    schema::{LifecycleBlock, ReloadBlock, ServerOrOff, TelemetryBlock, WorkersValue},
    validate::defaults,
};

pub(crate) fn workers(written: Option<&At<WorkersValue>>) -> Workers {
    match written.map(|workers| workers.value) {
        Some(WorkersValue::Fixed(number)) => Workers::Fixed(number),
        Some(WorkersValue::Auto) | None => Workers::Auto,
    }
}

pub(crate) fn telemetry(written: Option<&At<TelemetryBlock>>) -> Telemetry {
    let (share, format) = match written.and_then(|telemetry| telemetry.value.access_log.as_ref()) {
        None => (None, AccessLogFormat::Json),
        Some(At { value: Either::Short(Word(Off::Off)), .. }) => (Some(0), AccessLogFormat::Json),
        Some(At { value: Either::Map(block), .. }) => {
            let _ = &block.output; // its type has checked the one value
            let share = block.sample_percent.as_ref().map(|share| share.value.0);
            (share, word(&block.format, AccessLogFormat::Json))
        }
    };
    let share = share.unwrap_or(defaults::SAMPLE_PER_MILLION);
    Telemetry { access_log: AccessLog { format, sample_percent: Percent(share) } }
}

pub(crate) fn status(written: Option<&At<ServerOrOff>>, report: &mut Report) -> Option<ServerAddress> {
    server(written, defaults::STATUS, report)
}

/// The admin server, which must be on loopback.
pub(crate) fn admin(written: Option<&At<ServerOrOff>>, report: &mut Report) -> Option<ServerAddress> {
    let server = server(written, defaults::ADMIN, report)?;
    if !server.socket.ip().is_loopback() {
        let place = written.and_then(|written| match &written.value {
            ServerOrOff::On(block) => block.address.as_ref().map(|address| &address.place),
            ServerOrOff::Off => None,
        });
        if let Some(place) = place {
            let message = "the admin server can drain and reload, so it never leaves loopback";
            let help = format!("write \"127.0.0.1:{}\"", server.socket.port());
            report.error(place, "not-loopback", message, help);
        }
    }
    Some(server)
}

fn server(
    written: Option<&At<ServerOrOff>>,
    default: SocketAddr,
    report: &mut Report,
) -> Option<ServerAddress> {
    let block = match written.map(|written| &written.value) {
        Some(ServerOrOff::Off) => return None,
        Some(ServerOrOff::On(block)) => block,
        None => return Some(ServerAddress { socket: default }),
    };
    let socket = block.address.as_ref().and_then(|text| address::socket(text, report));
    Some(ServerAddress { socket: socket.unwrap_or(default) })
}

pub(crate) fn reload(written: Option<&At<ReloadBlock>>) -> Reload {
    let none = ReloadBlock::default();
    let block = written.map_or(&none, |block| &block.value);
    Reload {
        watch: flag(&block.watch, true),
        debounce: time(&block.debounce, defaults::RELOAD_DEBOUNCE),
        poll: time_or_off(&block.poll, Some(defaults::RELOAD_POLL)),
    }
}

pub(crate) fn lifecycle(written: Option<&At<LifecycleBlock>>) -> Lifecycle {
    let none = LifecycleBlock::default();
    let block = written.map_or(&none, |block| &block.value);
    Lifecycle {
        shutdown_delay: time(&block.shutdown_delay, defaults::SHUTDOWN_DELAY),
        drain_timeout: time(&block.drain_timeout, defaults::DRAIN_TIMEOUT),
        log_flush_timeout: time(&block.log_flush_timeout, defaults::LOG_FLUSH_TIMEOUT),
    }
}
