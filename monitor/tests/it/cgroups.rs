//! cgroups: version 2, version 1, both, without limits, nested, and not visible.

use outrigger_monitor::cgroup::{Cgroup, Scope};

use crate::fixture::{Process, Tree};

const V2: &[(&str, &str)] = &[
    ("memory.current", "104857600\n"),
    (
        "memory.stat",
        "anon 1\nfile 50000000\ninactive_file 4857600\n",
    ),
    ("memory.max", "209715200\n"),
    (
        "memory.events",
        "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n",
    ),
    ("cpu.max", "50000 100000\n"),
    (
        "cpu.stat",
        "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\nnr_periods 40\nnr_throttled 10\nthrottled_usec 1500000\n",
    ),
    (
        "cpu.pressure",
        "some avg10=1.00 avg60=0.00 avg300=0.00 total=3000000\n",
    ),
    (
        "memory.pressure",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=20\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=10\n",
    ),
];

/// A tree with the app as process 7 in this cgroup.
fn tree(membership: &str) -> Tree {
    let tree = Tree::new();
    tree.process(&Process::new(7, "orders"));
    tree.write("proc/7/cgroup", membership);
    tree.write("proc/self/cgroup", "0::/\n");
    tree
}

fn read(tree: &Tree) -> Vec<Cgroup> {
    tree.watching("orders").read().cgroups
}

fn one(tree: &Tree) -> Cgroup {
    let [one] = &read(tree)[..] else {
        panic!("{:?}", read(tree));
    };
    assert_eq!(one.scope, Scope::Container);
    one.clone()
}

#[test]
fn mon_12_version_2() {
    let tree = tree("0::/app\n");
    tree.files("cgroup/app", V2);
    let found = one(&tree);
    assert_eq!(
        (found.memory_usage, found.memory_limit),
        (Some(104_857_600), Some(209_715_200))
    );
    assert_eq!(found.memory_working_set, Some(100_000_000));
    assert_eq!(found.oom_kills, Some(2), "from memory.events");
    assert_eq!((found.cpu_seconds, found.cpu_limit), (Some(2.5), Some(0.5)));
    assert_eq!(
        (
            found.periods,
            found.throttled_periods,
            found.throttled_seconds
        ),
        (Some(40), Some(10), Some(1.5))
    );
    assert_eq!(
        found.pressure,
        [
            ("cpu", "some", 3.0),
            ("memory", "some", 2e-5),
            ("memory", "full", 1e-5)
        ]
    );
}

#[test]
fn mon_12_version_2_without_limits() {
    let tree = tree("0::/app\n");
    tree.files("cgroup/app", V2);
    tree.files(
        "cgroup/app",
        &[("memory.max", "max\n"), ("cpu.max", "max 100000\n")],
    );
    let found = one(&tree);
    assert_eq!((found.memory_limit, found.cpu_limit), (None, None));
    assert_eq!(found.memory_usage, Some(104_857_600));
}

#[test]
fn mon_12_version_2_nested_the_smallest_limit_holds_and_the_pod_is_shown() {
    let pod = "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1234.slice";
    let tree = tree(&format!("0::/{pod}/cri-containerd-abc.scope\n"));
    let container = format!("cgroup/{pod}/cri-containerd-abc.scope");
    tree.files(&container, V2);
    tree.files(
        &container,
        &[("memory.max", "max\n"), ("cpu.max", "max 100000\n")],
    );
    tree.files(&format!("cgroup/{pod}"), V2);
    tree.files(
        &format!("cgroup/{pod}"),
        &[
            ("memory.max", "150000000\n"),
            ("cpu.max", "150000 100000\n"),
        ],
    );
    tree.files("cgroup/kubepods.slice", &[("memory.max", "900000000\n")]);
    let found = read(&tree);
    let shown: Vec<_> = found
        .iter()
        .map(|one| (one.scope.as_str(), one.memory_limit, one.cpu_limit))
        .collect();
    let limits = (Some(150_000_000), Some(1.5));
    assert_eq!(
        shown,
        [
            ("container", limits.0, limits.1),
            ("pod", limits.0, limits.1)
        ]
    );
}

const MEMORY_V1: &[(&str, &str)] = &[
    ("memory.usage_in_bytes", "104857600\n"),
    ("memory.limit_in_bytes", "209715200\n"),
    (
        "memory.stat",
        "cache 1\ninactive_file 1\ntotal_inactive_file 4857600\n",
    ),
    (
        "memory.oom_control",
        "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
    ),
];

const CPU_V1: &[(&str, &str)] = &[
    ("cpu.cfs_quota_us", "200000\n"),
    ("cpu.cfs_period_us", "100000\n"),
    (
        "cpu.stat",
        "nr_periods 40\nnr_throttled 10\nthrottled_time 1500000000\n",
    ),
    ("cpuacct.usage", "2500000000\n"),
];

#[test]
fn mon_12_version_1() {
    let tree = tree("5:cpu,cpuacct:/pod1/app\n4:memory:/pod1/app\n1:name=systemd:/pod1/app\n");
    tree.files("cgroup/memory/pod1/app", MEMORY_V1);
    tree.files("cgroup/cpu,cpuacct/pod1/app", CPU_V1);
    let all = read(&tree);
    let found = &all[0];
    assert_eq!(
        (found.memory_usage, found.memory_limit),
        (Some(104_857_600), Some(209_715_200))
    );
    assert_eq!(
        (found.memory_working_set, found.oom_kills),
        (Some(100_000_000), Some(4))
    );
    assert_eq!((found.cpu_seconds, found.cpu_limit), (Some(2.5), Some(2.0)));
    assert_eq!(
        (found.throttled_periods, found.throttled_seconds),
        (Some(10), Some(1.5))
    );
    // Without limits.
    tree.files(
        "cgroup/memory/pod1/app",
        &[("memory.limit_in_bytes", "9223372036854771712\n")],
    );
    tree.files(
        "cgroup/cpu,cpuacct/pod1/app",
        &[("cpu.cfs_quota_us", "-1\n")],
    );
    let found = &read(&tree)[0];
    assert_eq!((found.memory_limit, found.cpu_limit), (None, None));
}

/// Version 1 names a path of the host, and a container sees its own cgroup as the root of the mount.
#[test]
fn mon_12_version_1_in_a_container_that_the_proxy_shares_with_the_app() {
    let membership = "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n";
    let tree = tree(membership);
    tree.write("proc/self/cgroup", membership);
    tree.files("cgroup/memory", MEMORY_V1);
    tree.files("cgroup/cpu,cpuacct", CPU_V1);
    assert_eq!(one(&tree).memory_limit, Some(209_715_200));
}

#[test]
fn mon_12_hybrid_the_controllers_of_version_1_have_the_figures() {
    let tree = tree("4:memory:/app\n3:cpu:/app\n2:cpuacct:/app\n0::/app\n");
    tree.files("cgroup/memory/app", MEMORY_V1);
    tree.files("cgroup/cpu/app", &CPU_V1[..3]);
    tree.files("cgroup/cpuacct/app", &CPU_V1[3..]);
    tree.files(
        "cgroup/unified/app",
        &[("cgroup.procs", "7\n"), ("cpu.stat", "usage_usec 1\n")],
    );
    let found = one(&tree);
    assert_eq!(
        (found.memory_usage, found.oom_kills),
        (Some(104_857_600), Some(4))
    );
    assert_eq!((found.cpu_seconds, found.cpu_limit), (Some(2.5), Some(2.0)));
}

/// With a shared PID namespace the app's process is seen, and its cgroup lies outside of the namespace of the proxy.
#[test]
fn mon_12_another_container_with_a_shared_pid_namespace_is_absent_and_not_the_proxys_own() {
    let tree = tree("0::/../cri-containerd-other.scope\n");
    tree.files("cgroup", V2); // the proxy's own
    assert_eq!(read(&tree), []);
}

#[test]
fn without_a_process_the_proxys_own_cgroup_is_not_that_of_the_app() {
    let tree = Tree::new();
    tree.write("proc/self/cgroup", "0::/\n");
    tree.files("cgroup", V2);
    assert_eq!(read(&tree), []);
}
