//! What is known of the app beside its traffic, as metrics: sockets, processes, cgroups, and how its own page was fetched.

use outrigger_monitor::{
    cgroup::Cgroup,
    checks::Report,
    observer::Reading,
    process::Processes,
    sockets::{STATES, Sockets},
};

use super::{family, page::Page};

/// What a page shows of the app.
#[derive(Debug, Default)]
pub(crate) struct Monitored {
    /// Sockets, processes, cgroups.
    pub reading: Reading,
    /// How the app's own page was fetched; `None` where it is not.
    pub scraped: Option<Scraped>,
    /// What is known of the checks.
    pub checks: Vec<Report>,
    /// Pages that were pushed, and pushes that failed; `None` where none is.
    pub pushes: Option<[u64; 2]>,
}

/// How the app's own page was fetched.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Scraped {
    /// How often each result came.
    pub results: Vec<(&'static str, u64)>,
    /// How long the last one took, in seconds.
    pub seconds: f64,
    /// Samples of the page.
    pub samples: usize,
    /// Families that were left out.
    pub dropped: usize,
}

/// One series without labels, or none.
fn one<V>(value: Option<V>) -> Option<([&'static str; 0], V)> {
    value.map(|value| ([], value))
}

pub(super) fn render(monitored: &Monitored, page: &mut Page) {
    let reading = &monitored.reading;
    sockets(reading.sockets.as_ref(), page);
    processes(reading.processes.as_ref(), page);
    memory(&reading.cgroups, page);
    cpu(&reading.cgroups, page);
    scraped(monitored.scraped.as_ref(), page);
    checks(&monitored.checks, page);
    let pushes = monitored.pushes.into_iter();
    let pushes = pushes.flat_map(|counts| ["ok", "failed"].into_iter().zip(counts));
    page.family(
        &family::PUSHES,
        pushes.map(|(result, count)| ([result], count)),
    );
}

fn sockets(sockets: Option<&Sockets>, page: &mut Page) {
    page.family(&family::APP_LISTENERS, one(sockets.map(|it| it.listeners)));
    page.family(&family::APP_QUEUE, one(sockets.and_then(|it| it.waiting)));
    page.family(
        &family::APP_QUEUE_LIMIT,
        one(sockets.and_then(|it| it.queue_limit)),
    );
    page.family(
        &family::APP_QUEUE_OVERFLOWS,
        one(sockets.and_then(|it| it.overflows)),
    );
    let connections = sockets
        .into_iter()
        .flat_map(|it| STATES.into_iter().zip(it.connections));
    let connections = connections.filter(|(state, _)| *state != "listen");
    page.family(
        &family::APP_CONNECTIONS,
        connections.map(|(state, count)| ([state], count)),
    );
}

fn processes(all: Option<&Processes>, page: &mut Page) {
    page.family(&family::APP_PROCESSES, one(all.map(|it| it.count)));
    let cpu = all.map(|it| [("user", it.user_seconds), ("system", it.system_seconds)]);
    let cpu = cpu
        .into_iter()
        .flatten()
        .map(|(mode, seconds)| ([mode], seconds));
    page.family(&family::APP_CPU, cpu);
    page.family(
        &family::APP_RESIDENT,
        one(all.and_then(|it| it.resident_bytes)),
    );
    page.family(
        &family::APP_RESIDENT_PEAK,
        one(all.and_then(|it| it.resident_peak_bytes)),
    );
    let running = all.filter(|it| it.count > 0);
    page.family(&family::APP_THREADS, one(running.map(|it| it.threads)));
    let descriptors = all.and_then(|it| it.descriptors);
    page.family(
        &family::APP_OPEN_FDS,
        one(descriptors.map(|(open, _)| open)),
    );
    page.family(
        &family::APP_MAX_FDS,
        one(descriptors.map(|(_, limit)| limit)),
    );
    page.family(
        &family::APP_START_TIME,
        one(all.and_then(|it| it.start_time_seconds)),
    );
    page.family(&family::APP_RESTARTS, one(all.map(|it| it.restarts)));
    let switches = all.and_then(|it| it.context_switches);
    let switches = switches
        .into_iter()
        .flat_map(|counts| ["voluntary", "involuntary"].into_iter().zip(counts));
    page.family(
        &family::APP_SWITCHES,
        switches.map(|(kind, count)| ([kind], count)),
    );
}

/// One series for each cgroup that has the value.
fn each<'a, V>(
    cgroups: &'a [Cgroup],
    value: impl Fn(&Cgroup) -> Option<V> + 'a,
) -> impl Iterator<Item = ([&'a str; 1], V)> {
    cgroups
        .iter()
        .filter_map(move |one| Some(([one.scope.as_str()], value(one)?)))
}

fn memory(cgroups: &[Cgroup], page: &mut Page) {
    page.family(&family::CGROUP_MEMORY, each(cgroups, |it| it.memory_usage));
    page.family(
        &family::CGROUP_WORKING_SET,
        each(cgroups, |it| it.memory_working_set),
    );
    page.family(
        &family::CGROUP_MEMORY_LIMIT,
        each(cgroups, |it| it.memory_limit),
    );
    page.family(&family::CGROUP_OOM_KILLS, each(cgroups, |it| it.oom_kills));
}

fn cpu(cgroups: &[Cgroup], page: &mut Page) {
    page.family(&family::CGROUP_CPU, each(cgroups, |it| it.cpu_seconds));
    page.family(&family::CGROUP_CPU_LIMIT, each(cgroups, |it| it.cpu_limit));
    page.family(&family::CGROUP_PERIODS, each(cgroups, |it| it.periods));
    page.family(
        &family::CGROUP_THROTTLED_PERIODS,
        each(cgroups, |it| it.throttled_periods),
    );
    page.family(
        &family::CGROUP_THROTTLED,
        each(cgroups, |it| it.throttled_seconds),
    );
    let pressure = cgroups.iter().flat_map(|one| {
        let scope = one.scope.as_str();
        one.pressure
            .iter()
            .map(move |(resource, kind, seconds)| ([scope, resource, kind], *seconds))
    });
    page.family(&family::CGROUP_PRESSURE, pressure);
}

fn scraped(scraped: Option<&Scraped>, page: &mut Page) {
    let results = scraped.into_iter().flat_map(|it| &it.results);
    page.family(
        &family::APP_SCRAPES,
        results.map(|(result, count)| ([*result], *count)),
    );
    page.family(
        &family::APP_SCRAPE_DURATION,
        one(scraped.map(|it| it.seconds)),
    );
    page.family(
        &family::APP_SCRAPE_SAMPLES,
        one(scraped.map(|it| it.samples)),
    );
    page.family(
        &family::APP_SCRAPE_DROPPED,
        one(scraped.map(|it| it.dropped)),
    );
}

fn checks(reports: &[Report], page: &mut Page) {
    let ended = || {
        reports
            .iter()
            .filter_map(|one| Some((&*one.name, one.last.as_ref()?)))
    };
    let success = ended().map(|(name, last)| ([name], u8::from(last.failure.is_none())));
    page.family(&family::CHECK_SUCCESS, success);
    let seconds = ended().map(|(name, last)| ([name], last.took.as_secs_f64()));
    page.family(&family::CHECK_DURATION, seconds);
    let expiry = ended().filter_map(|(name, last)| Some(([name], last.certificate_expiry?)));
    page.family(&family::CHECK_CERTIFICATE_EXPIRY, expiry);
    let counts = reports.iter().flat_map(|one| {
        let counts = ["ok", "failed"].into_iter().zip(one.counts);
        counts.map(|(result, count)| ([&*one.name, result], count))
    });
    page.family(&family::CHECKS, counts);
}
