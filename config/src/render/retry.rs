//! `retry`, `hedge` and `retryBudget`.

use serde_json::Value;

use crate::{
    block::show::{Object, percent, size, time, word},
    model::{Hedge, HedgeAfter, Retry, RetryBudget, RetryMethods},
};

pub(crate) fn retry(retry: &Retry) -> Object {
    let codes: Vec<Value> = retry.codes.iter().map(|code| code.as_u16().into()).collect();
    let backoff = Object::new().with("base", time(retry.backoff.base)).with("max", time(retry.backoff.max));
    let methods: Value = match &retry.methods {
        RetryMethods::Idempotent => "idempotent".into(),
        RetryMethods::Any => "any".into(),
        RetryMethods::Only(list) => list.iter().map(|method| method.as_str()).collect(),
    };
    Object::new()
        .with("attempts", retry.attempts)
        .with("codes", codes)
        .with("conditions", retry.conditions.iter().copied().map(word).collect::<Vec<_>>())
        .with("grpcCodes", retry.grpc_codes.iter().copied().map(word).collect::<Vec<_>>())
        .with("methods", methods)
        .with("backoff", backoff)
        .with("bufferBytes", size(retry.buffer_bytes as u64))
}

pub(crate) fn hedge(hedge: &Hedge) -> Object {
    let after = match hedge.after {
        HedgeAfter::Time(after) => time(after),
        HedgeAfter::Percentile(number) => format!("p{number}").into(),
    };
    Object::new().with("after", after).with("maxPercent", percent(hedge.max_percent))
}

pub(crate) fn budget(budget: &RetryBudget) -> Object {
    Object::new().with("percent", percent(budget.percent)).with("minPerSecond", budget.min_per_second)
}
