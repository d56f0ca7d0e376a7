//! Matches that can never win, because an earlier route has the same ones.
//!
//! Only identical keys are compared: same listener, host name, path, method, headers and parameters. Then
//! file order decides, and the later one is dead. Anything subtler is a question of specificity, which
//! the router answers, and no mistake.

use std::collections::HashMap;

use crate::{
    model::{Config, Hostname, ListenerId, Route, RouteMatch},
    problem::{Place, Report},
    schema::File,
};

type Key = (ListenerId, Option<Hostname>, String);

/// Warns of matches that can never win.
pub(super) fn check(file: &File, config: &Config, report: &mut Report) {
    let Some(written) = &file.routes else { return };
    let mut taken: HashMap<Key, usize> = HashMap::new();
    for (index, (route, item)) in config.routes.iter().zip(&written.value).enumerate() {
        let matches = item.value.matches.as_ref().map_or(&[][..], |matches| &matches.value);
        for (number, route_match) in route.matches.iter().enumerate() {
            let keys = keys(route, route_match);
            let winners: Option<Vec<usize>> = keys.iter().map(|key| taken.get(key).copied()).collect();
            let winner = winners.and_then(|winners| winners.into_iter().max());
            if let Some(winner) = winner {
                let place = matches.get(number).or(None).map(|item| item.place.clone());
                let place = place.or_else(|| item.value.name.as_ref().map(|name| name.place.clone()));
                let other = written.value.get(winner).and_then(|item| item.value.name.as_ref());
                let other = other.map(|name| &name.place);
                warn(
                    route,
                    &config.routes[winner],
                    &place.unwrap_or_else(|| item.place.clone()),
                    other,
                    report,
                );
            }
            for key in keys {
                taken.entry(key).or_insert(index);
            }
        }
    }
}

fn warn(route: &Route, winner: &Route, place: &Place, other: Option<&Place>, report: &mut Report) {
    let spot = other.map(|place| format!(" ({})", report.spot(place))).unwrap_or_default();
    let message = match route.name == winner.name {
        true => format!("this match of route `{}` stands there twice", route.name),
        false => {
            format!(
                "this match of route `{}` never wins: route `{}`{spot} has the same one",
                route.name, winner.name
            )
        }
    };
    let help = "remove it, or make one of the two more specific";
    report.warning(place, "shadowed-route", message, help);
}

fn keys(route: &Route, route_match: &RouteMatch) -> Vec<Key> {
    let mut headers: Vec<String> = route_match.headers.iter().map(|item| format!("{item:?}")).collect();
    let mut params: Vec<String> = route_match.query_params.iter().map(|item| format!("{item:?}")).collect();
    headers.sort();
    params.sort();
    let key = format!("{:?} {:?} {headers:?} {params:?}", route_match.path, route_match.method);
    let hostnames: Vec<Option<Hostname>> = match route.hostnames.as_slice() {
        [] => vec![None],
        some => some.iter().cloned().map(Some).collect(),
    };
    let pair = |listener: &ListenerId| {
        let listener = *listener;
        let key = key.clone();
        hostnames.iter().map(move |hostname| (listener, hostname.clone(), key.clone()))
    };
    route.listeners.iter().flat_map(pair).collect()
}
