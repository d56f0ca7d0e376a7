//! The machine that the test runs on, beside fixture trees.

use std::{net::TcpListener, os::unix::net::UnixListener};

use outrigger_config::model::AppAddress;
use outrigger_monitor::{
    observer::{Observer, Settings},
    process::Select,
    roots::Roots,
    sockets,
};

use crate::fixture::unix;

/// This process is the app.
#[test]
fn this_process_is_found_by_the_port_it_listens_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _waiting = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut observer = Observer::new(Settings {
        roots: Roots::default(),
        app: Some(AppAddress::Tcp(listener.local_addr().unwrap())),
        select: Select::Listener,
    });
    let reading = observer.read();
    let sockets = reading.sockets.unwrap();
    assert_eq!((sockets.listeners, sockets.waiting), (1, Some(1)));
    assert_eq!(sockets.connections[0], 1, "established: {sockets:?}");
    let processes = reading
        .processes
        .expect("a process may read its own descriptors");
    assert!(
        processes.count >= 1 && processes.threads >= 1,
        "{processes:?}"
    );
    assert!(processes.resident_bytes > Some(1 << 20), "{processes:?}");
    let (open, limit) = processes.descriptors.unwrap();
    assert!(open >= 4 && limit >= open, "{processes:?}");
    assert!(processes.start_time_seconds > Some(1e9), "{processes:?}");
    let again = observer.read().processes.unwrap();
    assert!(
        again.user_seconds >= processes.user_seconds && again.restarts == 0,
        "{again:?}"
    );
}

#[test]
fn the_queue_of_a_unix_socket_is_that_of_the_kernel() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let first = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let _second = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let read = || sockets::read(&Roots::default(), &unix(path.to_str().unwrap())).unwrap();
    assert_eq!(read().waiting, Some(2));
    let _accepted = listener.accept().unwrap();
    let sockets = read();
    assert_eq!((sockets.waiting, sockets.connections[0]), (Some(1), 1));
    drop(first);
}

/// The backlog that a program passes to `listen` is the limit of its queue.
#[test]
fn the_limit_of_the_queue_is_the_backlog() {
    for host in ["127.0.0.1:0", "[::]:0"] {
        let address: std::net::SocketAddr = host.parse().unwrap();
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None).unwrap();
        socket.bind(&address.into()).unwrap();
        socket.listen(7).unwrap();
        let listener: TcpListener = socket.into();
        let port = listener.local_addr().unwrap().port();
        let app = AppAddress::Tcp(([127, 0, 0, 1], port).into());
        let sockets = sockets::read(&Roots::default(), &app).unwrap();
        assert_eq!((sockets.listeners, sockets.waiting), (1, Some(0)), "{host}");
        match sockets.queue_limit {
            Some(limit) => assert_eq!(limit, 7, "{host}"),
            None => eprintln!("SKIPPED: this kernel has no sock_diag"),
        }
    }
}
