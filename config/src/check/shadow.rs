//! Matches that can never win, because an earlier route has the same match.
//!
//! Only identical keys are compared: same listener, host name, path, method, scheme, headers,
//! parameters and claims. Then file order decides, and the later route is shadowed. All other
//! overlaps are resolved by specificity in the router, and are not mistakes.

use std::collections::HashMap;

use crate::{
    block::{
        At,
        problem::{Place, Report},
    },
    file::{Config, File},
    part::{hostname::Hostname, id::ListenerId},
    route::{Route, RouteBlock, matches::RouteMatch},
};

/// Warns about matches that can never win.
pub(crate) fn check(file: &File, config: &Config, report: &mut Report) {
    let Some(written) = &file.routes else { return };
    let mut taken: HashMap<String, Winners<'_>> = HashMap::new();
    for (index, (route, item)) in config.routes.iter().zip(&written.value).enumerate() {
        for (number, route_match) in route.matches.iter().enumerate() {
            let earlier = taken.entry(key(route_match)).or_default();
            if let Some(winner) = winner(earlier, route) {
                let other = written
                    .value
                    .get(winner)
                    .and_then(|item| item.value.name.as_ref());
                warn(
                    route,
                    &config.routes[winner],
                    &place(item, number),
                    other.map(|name| &name.place),
                    report,
                );
            }
            for place in places_of(route) {
                earlier.entry(place).or_insert(index);
            }
        }
    }
}

/// The first route with a match, by scope: a listener and a host name, or any host.
type Winners<'a> = HashMap<(ListenerId, Option<&'a Hostname>), usize>;

fn places_of(route: &Route) -> impl Iterator<Item = (ListenerId, Option<&Hostname>)> {
    let any = route.hostnames.is_empty().then_some(None);
    let hosts = move || any.into_iter().chain(route.hostnames.iter().map(Some));
    route
        .listeners
        .iter()
        .flat_map(move |listener| hosts().map(|host| (*listener, host)))
}

/// The earlier route that wins in every scope of this route, if there is one.
fn winner(earlier: &Winners<'_>, route: &Route) -> Option<usize> {
    let mut last = None;
    for place in places_of(route) {
        last = last.max(Some(*earlier.get(&place)?));
    }
    last
}

fn place(item: &At<RouteBlock>, number: usize) -> Place {
    let matches = item
        .value
        .matches
        .as_ref()
        .and_then(|matches| matches.value.get(number));
    let name = item.value.name.as_ref().map(|name| &name.place);
    matches
        .map(|item| &item.place)
        .or(name)
        .unwrap_or(&item.place)
        .clone()
}

fn warn(route: &Route, winner: &Route, place: &Place, other: Option<&Place>, report: &mut Report) {
    let spot = other
        .map(|place| format!(" ({})", report.spot(place)))
        .unwrap_or_default();
    let message = match route.name == winner.name {
        true => format!("this match occurs twice in route `{}`", route.name),
        false => {
            format!(
                "this match of route `{}` is shadowed by the same match of route `{}`{spot}",
                route.name, winner.name
            )
        }
    };
    let help = "remove it, or make one of the two more specific";
    report.warning(place, "shadowed-route", message, help);
}

/// Two matches with the same key match the same requests.
fn key(route_match: &RouteMatch) -> String {
    let mut headers: Vec<String> = route_match
        .headers
        .iter()
        .map(|item| format!("{item:?}"))
        .collect();
    let mut params: Vec<String> = route_match
        .query_params
        .iter()
        .map(|item| format!("{item:?}"))
        .collect();
    let mut claims: Vec<String> = route_match
        .claims
        .iter()
        .map(|item| format!("{item:?}"))
        .collect();
    claims.sort();
    headers.sort();
    params.sort();
    let RouteMatch {
        path,
        method,
        scheme,
        ..
    } = route_match;
    format!("{path:?} {method:?} {scheme:?} {headers:?} {params:?} {claims:?}")
}
