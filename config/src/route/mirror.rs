//! `requestMirror` of a route: copies of some requests for another upstream.

use crate::{
    block::{
        Either, Percent, Share, block,
        problem::Report,
        show::{Object, percent},
    },
    part::id::UpstreamId,
    route::context::{self, Context},
};

block! {
    /// A copy of some requests goes to another upstream; nobody waits for it, and its answer is thrown away.
    MirrorBlock {
        /// The upstream; the plain name, or a map with it.
        "backendRef" backend_ref: Either<String, MirrorBackendBlock>,
        /// How many of 100 requests are copied. Default 100.
        "percent" percent: Share,
    }
    required ["backendRef"]
}

block! {
    /// An upstream.
    MirrorBackendBlock {
        /// Name of an upstream, or `app`.
        "name" name: String,
    }
    required ["name"]
}

/// `requestMirror`: where copies of some requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mirror {
    /// The upstream.
    pub upstream: UpstreamId,
    /// How many of the requests are copied. Default all.
    pub percent: Percent,
}

/// As in the Gateway API: whoever asks for copies gets them all.
const MIRROR_PER_MILLION: u32 = 1_000_000;

/// Checks what was written. `None` was reported.
pub(crate) fn accept(
    block: &MirrorBlock,
    context: &Context<'_>,
    report: &mut Report,
) -> Option<Mirror> {
    let written = block.backend_ref.as_ref()?;
    let (name, place) = match &written.value {
        Either::Short(name) => (name, &written.place),
        Either::Map(block) => block.name.as_ref().map(|name| (&name.value, &name.place))?,
    };
    let upstream = context::upstream(name, place, context, report)?;
    let percent = block
        .percent
        .as_ref()
        .map_or(MIRROR_PER_MILLION, |share| share.value.0);
    Some(Mirror {
        upstream,
        percent: Percent(percent),
    })
}

/// Shows what was accepted; the upstream by its name.
pub(crate) fn show(mirror: &Mirror, name: &str) -> Object {
    Object::new()
        .with("backendRef", Object::new().with("name", name))
        .with("percent", percent(mirror.percent))
}
