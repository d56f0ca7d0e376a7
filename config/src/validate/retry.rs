//! `retry` and `hedge` of routes, `retryBudget` of upstreams.

use http::StatusCode;

use crate::{
    block::{
        At, Int, Percent, Share, Word,
        field::{Field, narrow, number, size_between, time},
        problem::{Place, Report},
    },
    model::{
        Action, Backoff, Hedge, HedgeAfter, Retry, RetryBudget, RetryCondition, RetryMethods, Upstream,
        WeightedBackend,
    },
    part::method,
    route::timeouts::RouteTimeouts,
    schema::{AfterValue, BackoffBlock, HedgeBlock, MethodSet, MethodsValue, RetryBlock, RetryBudgetBlock},
    validate::defaults,
};

/// Checks what a route repeats; keys that it leaves out come from `defaults`. `None` where neither says anything.
pub(crate) fn retry(
    route: Option<&At<RetryBlock>>,
    inherited: Option<&At<RetryBlock>>,
    timeouts: &RouteTimeouts,
    report: &mut Report,
) -> Option<Retry> {
    let place = &route.or(inherited)?.place;
    let blocks = || [route, inherited].into_iter().flatten().map(|block| &block.value);
    let attempts = blocks().find_map(|block| block.attempts.as_ref());
    let codes = blocks().find_map(|block| block.codes.as_ref());
    let retry = Retry {
        attempts: narrow(number(&attempts.cloned(), defaults::RETRY_ATTEMPTS)),
        conditions: match blocks().find_map(|block| block.conditions.as_ref()) {
            Some(written) => words(written, report),
            None => RetryCondition::ALL.to_vec(),
        },
        codes: codes.map_or_else(Vec::new, |written| statuses(written, report)),
        grpc_codes: match blocks().find_map(|block| block.grpc_codes.as_ref()) {
            Some(written) => words(written, report),
            None => Vec::new(),
        },
        methods: methods(blocks().find_map(|block| block.methods.as_ref()), report),
        backoff: backoff(blocks().find_map(|block| block.backoff.as_ref()), report),
        buffer_bytes: size_between(
            &blocks().find_map(|block| block.buffer_bytes.as_ref()).cloned(),
            defaults::RETRY_BUFFER,
            (0, 16 << 20),
            "0B to 16MiB",
            report,
        ),
    };
    if retry.conditions.is_empty() && retry.codes.is_empty() && retry.grpc_codes.is_empty() {
        let help = "name a condition or a code, or remove the block";
        report.warning(place, "never-retries", "nothing is worth another try here", help);
    }
    fits_into_request(&retry, attempts.map_or(place, |written| &written.place), timeouts, report);
    Some(retry)
}

/// A last try that never begins is a mistake in one of three numbers.
fn fits_into_request(retry: &Retry, place: &Place, timeouts: &RouteTimeouts, report: &mut Report) {
    let (Some(one), Some(all)) = (timeouts.backend_request, timeouts.request) else { return };
    let before_last = one.saturating_mul(retry.attempts);
    if before_last > all {
        let message = format!(
            "the last retry never begins: {} tries of `backendRequest` take longer than `request`",
            retry.attempts
        );
        report.warning(place, "retries-too-long", message, "lower `attempts` or `backendRequest`");
    }
}

/// Words of a list, each once.
fn words<T: Copy + PartialEq>(written: &At<Vec<At<Word<T>>>>, report: &mut Report) -> Vec<T> {
    let mut once = Vec::with_capacity(written.value.len());
    for item in &written.value {
        if once.contains(&item.value.0) {
            named_twice(&item.place, report);
        } else {
            once.push(item.value.0);
        }
    }
    once
}

fn statuses(written: &At<Vec<At<Int<400, 599>>>>, report: &mut Report) -> Vec<StatusCode> {
    let mut once = Vec::with_capacity(written.value.len());
    for item in &written.value {
        let Ok(status) = StatusCode::from_u16(narrow(item.value.0)) else { continue };
        if once.contains(&status) {
            named_twice(&item.place, report);
            continue;
        }
        if status.is_client_error() {
            let message = format!("{} says that the request is at fault", status.as_u16());
            let help = "the same request mostly gets the same answer; keep it where this upstream means something else";
            report.warning(&item.place, "retries-client-error", message, help);
        }
        once.push(status);
    }
    once
}

fn named_twice(place: &Place, report: &mut Report) {
    report.error(place, "duplicate-reference", "this stands in the list already", "name it once");
}

fn methods(written: Option<&At<MethodsValue>>, report: &mut Report) -> RetryMethods {
    let Some(At { value, place }) = written else { return RetryMethods::Idempotent };
    match value {
        MethodsValue::Word(MethodSet::Idempotent) => RetryMethods::Idempotent,
        MethodsValue::Word(MethodSet::Any) => RetryMethods::Any,
        MethodsValue::List(list) => {
            let list = At { value: list.clone(), place: place.clone() };
            RetryMethods::Only(method::list(Some(&list), report))
        }
    }
}

fn backoff(block: Option<&At<BackoffBlock>>, report: &mut Report) -> Backoff {
    let none = BackoffBlock::default();
    let block = block.map_or(&none, |block| &block.value);
    let base = time(&block.base, defaults::RETRY_BASE);
    // Only one of the two may be written.
    let max = time(&block.max, defaults::RETRY_MAX.max(base));
    if let Some(written) = block.max.as_ref().or(block.base.as_ref()).filter(|_| max < base) {
        let message = "`max` is shorter than `base` (default 25ms)";
        report.error(&written.place, "backoff-order", message, "lengthen `max` or shorten `base`");
    }
    Backoff { base, max }
}

/// Checks when a route sends a second request beside the first. `None` was reported, or nothing was written.
pub(crate) fn hedge(
    block: Option<&At<HedgeBlock>>,
    action: &Action,
    upstreams: &[Upstream],
    report: &mut Report,
) -> Option<Hedge> {
    let At { value: block, place } = block?;
    let alone = |backend: &WeightedBackend| {
        upstreams.get(backend.upstream.0 as usize).is_some_and(|upstream| upstream.endpoints.len() == 1)
    };
    if let Action::Forward(backends) = action
        && !backends.is_empty()
        && backends.iter().all(alone)
    {
        let message = "no upstream of this route has a second endpoint";
        report.warning(place, "never-hedges", message, "add endpoints, or remove `hedge`");
    }
    let written = block.after.as_ref()?;
    let after = match written.value {
        AfterValue::Percentile(percentile) => HedgeAfter::Percentile(percentile),
        AfterValue::Time(time) => {
            if time.is_zero() {
                let message = "a second request at once is twice the load";
                report.error(&written.place, "out-of-range", message, "write a duration over 0s, or p95");
            }
            HedgeAfter::Time(time)
        }
    };
    let max_percent = percent(&block.max_percent, defaults::HEDGE_PER_MILLION);
    Some(Hedge { after, max_percent })
}

/// The budget of an upstream.
pub(crate) fn budget(block: Option<&At<RetryBudgetBlock>>) -> RetryBudget {
    let none = RetryBudgetBlock::default();
    let block = block.map_or(&none, |block| &block.value);
    RetryBudget {
        percent: percent(&block.percent, defaults::RETRY_BUDGET_PER_MILLION),
        min_per_second: narrow(number(&block.min_per_second, defaults::RETRY_BUDGET_MINIMUM)),
    }
}

fn percent(field: &Field<Share>, default: u32) -> Percent {
    Percent::of_million(field.as_ref().map_or(default, |share| share.value.0))
}
