//! `listeners` of a route.

use crate::{
    block::{
        At, name,
        problem::{Place, Report},
    },
    listener::direction::Direction,
    part::{
        id::ListenerId,
        path::{EncodedSlash, Rules},
    },
    route::context::Context,
};

/// The listeners a route serves, and their direction.
pub(crate) fn accept(
    written: Option<&At<Vec<At<String>>>>,
    place: &Place,
    context: &Context<'_>,
    report: &mut Report,
) -> (Vec<ListenerId>, Direction) {
    let Some(written) = written else {
        let inbound = context.inbound();
        if inbound.is_empty() {
            let help = "add the outbound listeners: `listeners: […]`";
            report.error(
                place,
                "missing-key",
                "the route serves no listener, because none is inbound",
                help,
            );
        }
        return (inbound, Direction::Inbound);
    };
    if written.value.is_empty() {
        let help = "add a listener, or remove the key to serve all inbound ones";
        report.error(
            &written.place,
            "empty-list",
            "the list of listeners is empty",
            help,
        );
    }
    let mut ids: Vec<ListenerId> = Vec::new();
    for reference in &written.value {
        let found = context
            .ids()
            .find(|(_, listener)| *listener.name == *reference.value);
        let Some((id, listener)) = found else {
            let known = context.listeners.iter().map(|listener| &*listener.name);
            name::unresolved(
                "listener",
                &reference.value,
                &reference.place,
                known,
                report,
            );
            continue;
        };
        if ids.contains(&id) {
            let message = format!("the listener `{}` is listed twice", reference.value);
            report.error(
                &reference.place,
                "duplicate-reference",
                message,
                "remove one of them",
            );
        } else if ids
            .first()
            .is_some_and(|first| context.listener(*first).direction != listener.direction)
        {
            let message = "a route cannot serve both inbound and outbound listeners";
            report.error(
                &reference.place,
                "mixed-directions",
                message,
                "write one route for each direction",
            );
        } else {
            ids.push(id);
        }
    }
    let direction = ids
        .first()
        .map_or(Direction::Inbound, |id| context.listener(*id).direction);
    (ids, direction)
}

/// The most lenient path rules of these listeners.
pub(crate) fn path_rules(listeners: &[ListenerId], context: &Context<'_>) -> Rules {
    let mut rules = Rules {
        encoded_slash: EncodedSlash::Reject,
        double_slash: false,
    };
    for id in listeners {
        let paths = &context.listener(*id).paths;
        rules.double_slash |= !paths.merge_slashes;
        if paths.encoded_slash == EncodedSlash::Keep {
            rules.encoded_slash = EncodedSlash::Keep;
        }
    }
    rules
}
