//! Processes: which ones are the app, and what they use.

use outrigger_monitor::process::Select;

use crate::fixture::{Process, Tree, tcp};

/// The name of a process is its own choice, and the kernel keeps 15 bytes of it.
#[test]
fn mon_11_names_with_spaces_and_parentheses_and_long_ones() {
    for (name, command, found) in [
        ("a) R 1 (b", "a) R 1 (b", true),
        ("x y)", "x y)", true),
        ("(", "(", true),
        ("orders-service-worker", "orders-service-worker", true),
        ("orders", "order", false),
    ] {
        let tree = Tree::new();
        let mut process = Process::new(40, name);
        process.ticks = [250, 50, 0, 0];
        tree.process(&process);
        if name.len() > 15 {
            // What the kernel keeps of it; the command line has it whole.
            let stat = std::fs::read_to_string(tree.path("proc/40/stat")).unwrap();
            tree.write("proc/40/stat", &stat.replace(name, &name[..15]));
        }
        let reading = tree.watching(command).read().processes;
        assert_eq!(reading.is_some(), found, "{name}");
        if let Some(processes) = reading {
            assert_eq!(
                (processes.user_seconds, processes.system_seconds),
                (2.5, 0.5),
                "{name}"
            );
            assert_eq!(processes.start_time_seconds, Some(1_000_010.0));
        }
    }
}

/// What another user may not read is absent; large figures stay exact.
#[test]
fn mon_11_unreadable_files_are_absent_series_and_200_gib_are_exact() {
    let tree = Tree::new();
    let mut process = Process::new(40, "big");
    process.rss_kib = 200 * 1024 * 1024;
    tree.process(&process); // without fd and limits, as for a process of another user
    let processes = tree.watching("big").read().processes.unwrap();
    assert_eq!(processes.resident_bytes, Some(200 << 30));
    assert_eq!(processes.resident_peak_bytes, Some((200 << 30) + 1024));
    assert_eq!(processes.descriptors, None);
    std::fs::remove_file(tree.path("proc/40/status")).unwrap();
    let processes = tree.watching("big").read().processes.unwrap();
    assert_eq!(
        (processes.resident_bytes, processes.context_switches),
        (None, None)
    );
    assert_eq!(processes.count, 1);
}

#[test]
fn children_count_with_their_parent_and_others_do_not() {
    let tree = Tree::new();
    for (pid, parent, name, ticks) in [
        (1, 0, "pause", [1, 1, 0, 0]),
        (7, 1, "orders", [100, 10, 30, 3]),
        (8, 7, "worker", [200, 20, 0, 0]),
        (9, 8, "helper", [400, 40, 0, 0]),
        (10, 1, "sidecar", [999, 999, 0, 0]),
    ] {
        let mut process = Process::new(pid, name);
        (process.parent, process.ticks, process.threads) = (parent, ticks, 1);
        tree.process(&process);
    }
    let processes = tree.watching("orders").read().processes.unwrap();
    assert_eq!((processes.count, processes.threads), (3, 3));
    assert_eq!(
        (processes.user_seconds, processes.system_seconds),
        (7.3, 0.73)
    );
    assert_eq!(processes.resident_bytes, Some(3 << 20));
    assert_eq!(processes.context_switches, Some([21, 9]));
}

#[test]
fn context_switches_are_those_of_all_threads() {
    let tree = Tree::new();
    let mut process = Process::new(7, "orders");
    process.threads = 2;
    tree.process(&process);
    for (task, voluntary) in [(7, 100), (12, 11)] {
        tree.write(
            &format!("proc/7/task/{task}/status"),
            &format!("Name:\torders\nvoluntary_ctxt_switches:\t{voluntary}\nnonvoluntary_ctxt_switches:\t1\n"),
        );
    }
    let processes = tree.watching("orders").read().processes.unwrap();
    assert_eq!(processes.context_switches, Some([111, 2]));
}

#[test]
fn a_process_that_dies_between_two_readings_keeps_its_totals_and_a_new_one_is_a_restart() {
    let tree = Tree::new();
    let mut process = Process::new(7, "orders");
    process.ticks = [100, 0, 0, 0];
    tree.process(&process);
    let mut observer = tree.watching("orders");
    let reading = observer.read().processes.unwrap();
    assert_eq!((reading.user_seconds, reading.restarts), (1.0, 0));
    tree.end(7);
    let reading = observer.read().processes.unwrap();
    assert_eq!(
        (reading.count, reading.user_seconds, reading.restarts),
        (0, 1.0, 0)
    );
    assert_eq!(
        (reading.start_time_seconds, reading.resident_bytes),
        (None, None)
    );
    // The PID is used again.
    (process.start, process.ticks) = (5000, [20, 0, 0, 0]);
    tree.process(&process);
    let reading = observer.read().processes.unwrap();
    assert_eq!(
        (reading.count, reading.user_seconds, reading.restarts),
        (1, 1.2, 1)
    );
    assert_eq!(reading.start_time_seconds, Some(1_000_050.0));
    // While a child ends its time goes to the parent, and is not counted twice.
    let mut child = Process::new(8, "child");
    (child.parent, child.ticks) = (7, [50, 0, 0, 0]);
    tree.process(&child);
    assert_eq!(observer.read().processes.unwrap().user_seconds, 1.7);
    tree.end(8);
    process.ticks = [20, 0, 60, 0];
    tree.process(&process);
    let reading = observer.read().processes.unwrap();
    assert_eq!((reading.user_seconds, reading.restarts), (1.8, 1));
}

/// A folder whose files are gone when they are read, as of a process that ends meanwhile.
#[test]
fn a_process_without_files_is_left_out() {
    let tree = Tree::new();
    tree.process(&Process::new(7, "orders"));
    std::fs::create_dir_all(tree.path("proc/8")).unwrap();
    for (pid, stat) in [
        (9, ""),
        (10, "10 orders S"),
        (11, "(orders)"),
        (12, "12 (orders)"),
        (13, ")13 ("),
    ] {
        tree.write(&format!("proc/{pid}/stat"), stat);
    }
    assert_eq!(tree.watching("orders").read().processes.unwrap().count, 1);
}

#[test]
fn a_process_that_waits_for_its_parent_after_its_end_is_not_running() {
    let tree = Tree::new();
    tree.process(&Process::new(7, "orders"));
    let stat = std::fs::read_to_string(tree.path("proc/7/stat")).unwrap();
    tree.write("proc/7/stat", &stat.replace(") S ", ") Z "));
    assert_eq!(tree.watching("orders").read().processes, None);
}

#[test]
fn without_a_name_the_holder_of_the_listening_socket_is_the_app() {
    let tree = Tree::new();
    let listening = "  sl  local\n   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0 0 4711 1 0 100\n";
    tree.write("proc/net/tcp", listening);
    for pid in [1, 7, 8] {
        let mut process = Process::new(pid, "python3");
        process.parent = u32::from(pid != 1);
        tree.process(&process);
    }
    tree.descriptors(7, &["/dev/null", "socket:[4711]", "pipe:[1]"], "1024");
    tree.descriptors(8, &["/dev/null", "socket:[47110]"], "1024");
    let mut observer = tree.observer(Some(tcp("127.0.0.1:8080")), Select::Listener);
    let processes = observer.read().processes.unwrap();
    assert_eq!(
        (processes.count, processes.descriptors),
        (1, Some((3, 1024)))
    );
    // It restarts with another socket.
    tree.end(7);
    tree.write("proc/net/tcp", "  sl  local\n");
    assert_eq!(observer.read().processes.unwrap().count, 0);
    tree.write("proc/net/tcp", &listening.replace("4711", "4800"));
    let mut process = Process::new(9, "python3");
    process.start = 2000;
    tree.process(&process);
    tree.descriptors(9, &["socket:[4800]"], "unlimited");
    let processes = observer.read().processes.unwrap();
    assert_eq!(
        (processes.count, processes.restarts, processes.descriptors),
        (1, 1, None)
    );
}

#[test]
fn descriptors_are_those_of_the_process_that_is_closest_to_its_limit() {
    let tree = Tree::new();
    tree.process(&Process::new(7, "orders"));
    let mut child = Process::new(8, "orders");
    child.parent = 7;
    tree.process(&child);
    tree.descriptors(7, &["a", "b", "c", "d"], "1000");
    tree.descriptors(8, &["a", "b"], "4");
    assert_eq!(
        tree.watching("orders")
            .read()
            .processes
            .unwrap()
            .descriptors,
        Some((2, 4))
    );
}

#[test]
fn a_pid_file_names_the_process() {
    let tree = Tree::new();
    tree.process(&Process::new(7, "orders"));
    tree.process(&Process::new(8, "orders"));
    let file = tree.path("orders.pid");
    let mut observer = tree.observer(None, Select::PidFile(file.clone()));
    assert_eq!(observer.read().processes, None);
    for (text, found) in [
        ("8\n", true),
        ("", false),
        ("nonsense", false),
        ("99", false),
    ] {
        std::fs::write(&file, text).unwrap();
        let mut observer = tree.observer(None, Select::PidFile(file.clone()));
        assert_eq!(observer.read().processes.is_some(), found, "{text:?}");
    }
}
