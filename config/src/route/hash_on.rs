//! `hashOn` of a route: the hash key for the choice among several `backendRefs`.

pub(crate) use crate::part::hash_on::show;

use crate::{
    block::{At, Either, Word, problem::Report},
    part::{
        hash_on::{self, HashOn, HashOnBlock},
        words::ClientIp,
    },
    route::action::Action,
};

/// Validates the hash key of a route that forwards requests.
pub(crate) fn accept(
    written: Option<&At<Either<Word<ClientIp>, HashOnBlock>>>,
    action: &Action,
    report: &mut Report,
) -> Option<HashOn> {
    let (At { value, place }, Action::Forward(backends)) = (written?, action) else {
        return None;
    };
    if !backends.is_empty() && backends.iter().filter(|backend| backend.weight > 0).count() < 2 {
        let help = "add `backendRefs`, or remove it; endpoints are selected by `loadBalancer` of the upstream";
        report.error(
            place,
            "conflicting-keys",
            "`hashOn` has no effect with a single upstream",
            help,
        );
    }
    hash_on::accept(value, report)
}
