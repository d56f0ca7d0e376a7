//! `hashOn` of a route: what the choice among several `backendRefs` goes by.

pub(crate) use crate::part::hash_on::show;

use crate::{
    block::{At, Either, Word, problem::Report},
    part::{
        hash_on::{self, HashOn, HashOnBlock},
        words::ClientIp,
    },
    route::action::Action,
};

/// Checks what a route that sends on says.
pub(crate) fn accept(
    written: Option<&At<Either<Word<ClientIp>, HashOnBlock>>>,
    action: &Action,
    report: &mut Report,
) -> Option<HashOn> {
    let (At { value, place }, Action::Forward(backends)) = (written?, action) else {
        return None;
    };
    if !backends.is_empty() && backends.iter().filter(|backend| backend.weight > 0).count() < 2 {
        let help = "name several `backendRefs`, or remove it; endpoints are chosen by `loadBalancer` of the upstream";
        report.error(
            place,
            "conflicting-keys",
            "`hashOn` has nothing to choose between",
            help,
        );
    }
    hash_on::accept(value, report)
}
