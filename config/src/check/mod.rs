//! From the file as written to the accepted configuration: first each block by itself, then checks
//! over the whole file.
//!
//! Each block converts itself into its model value and reports its problems on the way. A rejected
//! value is replaced by a default or placeholder so that the rest is checked too. That is safe
//! because `load` never returns a configuration with an error.

pub(crate) mod effect;
pub(crate) mod monitor;
pub(crate) mod ports;
pub(crate) mod probes;
pub(crate) mod shadow;
pub(crate) mod unserved;

use crate::{
    app,
    block::{
        name,
        problem::{Place, Report},
    },
    file::{Config, File},
    files::Files,
    lifecycle, listener, logs, monitor as monitor_block, provider, rate_limit, redis, reloading,
    route::{self, OtherBlocks, context::Context},
    server, telemetry, upstream, workers,
};

/// Validates a whole file. The result is valid only when the report has no error.
pub(crate) fn config(file: &File, files: &mut Files<'_>, report: &mut Report) -> Config {
    let _ = &file.version; // its type has checked the one value
    let app = file
        .app
        .as_ref()
        .map(|app| app::accept(app, files.base(), report));
    let listeners = listener::accept(file.listeners.as_ref(), files, report);
    let upstreams = upstream::accept(app.as_ref(), file.upstreams.as_ref(), files, report);
    let jwt_providers = provider::accept(file.jwt_providers.as_ref(), files, report);
    provider::check_bound_tokens(file.jwt_providers.as_ref(), &listeners, report);
    let redis = file
        .redis
        .as_ref()
        .and_then(|redis| redis::accept(redis, files, report));
    let rate_limits = rate_limit::accept(file.rate_limits.as_ref(), file.redis.is_some(), report);
    let context = Context {
        listeners: &listeners,
        upstreams: &upstreams,
        providers: &jwt_providers,
        rate_limits: &rate_limits,
        has_app: app.is_some(),
        upstream_ids: name::by_name(&upstreams, |one| &one.name),
        rate_limit_ids: name::by_name(&rate_limits, |one| &one.name),
    };
    let beside = OtherBlocks {
        upstreams: file.upstreams.as_ref().map(|at| &at.place),
        listeners: file.listeners.as_ref().map(|at| &at.place),
    };
    let (written, defaults) = (file.routes.as_ref(), file.defaults.as_ref());
    let routes = route::accept(written, defaults, &beside, &context, files, report);
    unserved::check(file, &context, &routes, report);
    let logs = file
        .logs
        .as_ref()
        .and_then(|logs| logs::accept(logs, files, report));
    let monitor = file
        .monitor
        .as_ref()
        .map(|block| monitor_block::accept(block, app.as_ref(), files, report));
    let status = server::status(file.status.as_ref(), report);
    let admin = server::admin(file.admin.as_ref(), report);
    let config = Config {
        workers: workers::accept(file.workers.as_ref()),
        app,
        listeners,
        upstreams,
        jwt_providers,
        rate_limits,
        redis,
        routes,
        telemetry: telemetry::accept(file.telemetry.as_ref()),
        logs,
        status,
        admin,
        reload: reloading::accept(file.reload.as_ref()),
        lifecycle: lifecycle::accept(file.lifecycle.as_ref()),
        monitor,
    };
    something_to_proxy(file, report);
    ports::check(file, &config, report);
    monitor::check(file, &config, report);
    // A partly rejected configuration would cause false warnings.
    if !report.has_errors() {
        shadow::check(file, &config, report);
        effect::check(file, &config, report);
        probes::check(file, &config, report);
    }
    config
}

fn something_to_proxy(file: &File, report: &mut Report) {
    if file.app.is_none() && file.upstreams.is_none() && !report.has_errors() {
        let help = "add `app: { port: 8080 }` with the port of the application in this pod";
        report.error(
            &Place::root(),
            "nothing-to-proxy",
            "neither `app` nor `upstreams` is configured",
            help,
        );
    }
}
