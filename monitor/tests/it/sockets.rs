//! Listen queues and connections, from files as kernels write them.

use outrigger_monitor::sockets::{STATES, Sockets, read};

use crate::fixture::{Tree, tcp, unix};

const HEADING: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

fn line(index: usize, local: &str, state: &str, waiting: u32, inode: u64) -> String {
    format!(
        "{index:>4}: {local} 0100007F:D431 {state} 00000000:{waiting:08X} 00:00000000 00000000  1000        0 {inode} 1 0000000006d70a2b 100 0 0 10 0\n"
    )
}

fn count(sockets: &Sockets, state: &str) -> u64 {
    sockets.connections[STATES.iter().position(|one| *one == state).unwrap()]
}

/// Port 8080 is 1F90.
#[test]
fn the_queue_and_the_connections_of_the_port_are_found_among_others() {
    let tree = Tree::new();
    let lines = [
        ("0100007F:1F90", "0A", 5, 11),
        ("0A00000A:1F90", "0A", 9, 12), // another server on the pod's address
        ("0100007F:1F91", "0A", 1, 13),
        ("0100007F:1F90", "01", 0, 14),
        ("0100007F:1F90", "01", 0, 15),
        ("0100007F:1F90", "08", 0, 16),
        ("0A00000A:1F90", "01", 0, 17),
        ("0100007F:D431", "01", 0, 18), // the other end
        ("0100007F:1F90", "06", 0, 0),
    ];
    let lines = lines.iter().enumerate();
    let text: String = lines
        .map(|(index, (local, state, waiting, inode))| line(index, local, state, *waiting, *inode))
        .collect();
    tree.write("proc/net/tcp", &(HEADING.to_owned() + &text));
    tree.write(
        "proc/net/netstat",
        "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 23 24\nIpExt: InNoRoutes\nIpExt: 0\n",
    );
    let sockets = read(&tree.roots(), &tcp("127.0.0.1:8080")).unwrap();
    assert_eq!((sockets.listeners, sockets.waiting), (1, Some(5)));
    // A socket of the fixture is none of the kernel's.
    assert_eq!((sockets.queue_limit, sockets.overflows), (None, Some(23)));
    let states = [
        "established",
        "close_wait",
        "time_wait",
        "listen",
        "syn_recv",
    ];
    assert_eq!(states.map(|state| count(&sockets, state)), [2, 1, 1, 0, 0]);
}

#[test]
fn a_dual_stack_listener_and_its_ipv4_connections_stand_in_tcp6() {
    let tree = Tree::new();
    let any = "00000000000000000000000000000000:1F90";
    let mapped = "0000000000000000FFFF00000100007F:1F90";
    let text =
        line(0, any, "0A", 3, 21) + &line(1, mapped, "01", 0, 22) + &line(2, mapped, "08", 0, 23);
    tree.write("proc/net/tcp", HEADING);
    tree.write("proc/net/tcp6", &(HEADING.to_owned() + &text));
    for address in ["127.0.0.1:8080", "[::1]:8080"] {
        let sockets = read(&tree.roots(), &tcp(address)).unwrap();
        assert_eq!(
            (sockets.listeners, sockets.waiting),
            (1, Some(3)),
            "{address}"
        );
        assert_eq!(
            (
                count(&sockets, "established"),
                count(&sockets, "close_wait")
            ),
            (1, 1)
        );
    }
}

#[test]
fn an_app_that_does_not_listen_has_no_queue_and_missing_files_are_no_reading() {
    let tree = Tree::new();
    assert_eq!(read(&tree.roots(), &tcp("127.0.0.1:8080")), None);
    tree.write(
        "proc/net/tcp",
        &(HEADING.to_owned() + &line(0, "0100007F:1F90", "06", 0, 0)),
    );
    let sockets = read(&tree.roots(), &tcp("127.0.0.1:8080")).unwrap();
    assert_eq!((sockets.listeners, sockets.waiting), (0, None));
    assert_eq!(count(&sockets, "time_wait"), 1);
    assert_eq!((sockets.queue_limit, sockets.overflows), (None, None));
}

#[test]
fn lines_that_are_cut_or_nonsense_are_passed_over() {
    let tree = Tree::new();
    for text in [
        "",
        "\n",
        ":",
        "0: 0100007F:1F90",
        "0: x:1F90 y 0A",
        "0: :1F90 :0 FF 1:2",
        "\u{ff}\n0: a b c d\n",
    ] {
        tree.write("proc/net/tcp", &(HEADING.to_owned() + text));
        assert_eq!(
            read(&tree.roots(), &tcp("127.0.0.1:8080"))
                .unwrap()
                .listeners,
            0,
            "{text:?}"
        );
    }
}

#[test]
fn a_unix_socket_has_a_queue_and_connections_too() {
    let tree = Tree::new();
    let line = |flags: &str, state: &str, inode: u64, path: &str| {
        format!("00000000556f67cc: 00000003 00000000 {flags} 0001 {state} {inode} {path}\n")
    };
    let text = "Num       RefCount Protocol Flags    Type St Inode Path\n".to_owned()
        + &line("00010000", "01", 31, "/run/app/app.sock")
        + &line("00000000", "03", 32, "/run/app/app.sock")
        + &line("00000000", "02", 33, "/run/app/app.sock")
        + &line("00000000", "02", 34, "/run/app/app.sock")
        + &line("00010000", "01", 35, "/run/other.sock")
        + "0000000000000000: 00000003 00000000 00000000 0001 03 1389597\n";
    tree.write("proc/net/unix", &text);
    // The second: as another container mounts the folder.
    for path in ["/run/app/app.sock", "/var/run/shared/app.sock"] {
        let sockets = read(&tree.roots(), &unix(path)).unwrap();
        assert_eq!((sockets.listeners, sockets.waiting), (1, Some(2)), "{path}");
        assert_eq!(count(&sockets, "established"), 1);
    }
    assert_eq!(
        read(&tree.roots(), &unix("/run/none.sock"))
            .unwrap()
            .waiting,
        None
    );
}

#[test]
fn ten_thousand_connections_are_counted() {
    let tree = Tree::new();
    let mut text = HEADING.to_owned() + &line(0, "0100007F:1F90", "0A", 0, 1);
    for index in 1..=10_000 {
        text += &line(index, "0100007F:1F90", "01", 0, 1000 + index as u64);
    }
    tree.write("proc/net/tcp", &text);
    let sockets = read(&tree.roots(), &tcp("127.0.0.1:8080")).unwrap();
    assert_eq!(count(&sockets, "established"), 10_000);
}
