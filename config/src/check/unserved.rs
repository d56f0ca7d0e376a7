//! Listeners without routes.

use crate::{
    block::problem::Report,
    file::File,
    route::{Route, context::Context},
};

/// Warns about them.
pub(crate) fn check(file: &File, context: &Context<'_>, routes: &[Route], report: &mut Report) {
    let Some(written) = file.listeners.as_ref().filter(|_| !report.has_errors()) else {
        return;
    };
    for ((id, listener), item) in context.ids().zip(&written.value) {
        if routes.is_empty() || routes.iter().any(|route| route.listeners.contains(&id)) {
            continue;
        }
        let place = item
            .value
            .name
            .as_ref()
            .map_or_else(|| item.place.clone(), |name| name.place.clone());
        let message = format!(
            "no route serves the listener `{}`; all its requests get 404",
            listener.name
        );
        let help = format!(
            "add `listeners: [{}]` to a route, or remove the listener",
            listener.name
        );
        report.warning(&place, "unused-listener", message, help);
    }
}
