//! A DNS server that answers as a test wants, over UDP and TCP, on the same port of a loopback address.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    sync::{Arc, Mutex},
    thread,
};

pub const A: u16 = 1;
pub const AAAA: u16 = 28;
pub const SRV: u16 = 33;

/// What is answered.
#[derive(Clone, Debug)]
pub enum Reply {
    /// These addresses of the family that was asked for, good for so many seconds.
    Addresses(u32, Vec<IpAddr>),
    /// Priority, weight, port and target of each service.
    Services(u32, Vec<(u16, u16, u16, String)>),
    /// Another name, and its addresses, good for so many seconds each.
    Alias(u32, String, u32, Vec<IpAddr>),
    /// An error: 2 is SERVFAIL, 3 NXDOMAIN, 5 REFUSED.
    Error(u8),
    /// Nothing.
    Silence,
    /// Bytes that are no answer.
    Garbage,
    /// Over UDP only that TCP should be asked.
    OverTcp(Box<Self>),
    /// The first to questions for A, the second to those for AAAA.
    PerFamily(Box<Self>, Box<Self>),
}

impl Reply {
    /// Replies that differ by family.
    pub fn per_family(a: Self, aaaa: Self) -> Self {
        Self::PerFamily(Box::new(a), Box::new(aaaa))
    }
}

/// A question that was asked: name in lower case, type, and whether over TCP.
pub type Asked = (String, u16, bool);

/// A running one.
pub struct Dns {
    pub address: SocketAddr,
    names: Arc<Mutex<HashMap<String, Reply>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Dns {
    /// On a free port.
    pub fn start() -> Self {
        loop {
            let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            if let Ok(dns) = Self::with(udp) {
                return dns;
            }
        }
    }

    /// On this address.
    pub fn at(address: SocketAddr) -> io::Result<Self> {
        Self::with(UdpSocket::bind(address)?)
    }

    fn with(udp: UdpSocket) -> io::Result<Self> {
        let address = udp.local_addr()?;
        let tcp = TcpListener::bind(address)?;
        let dns = Self {
            address,
            names: Arc::default(),
            asked: Arc::default(),
        };
        let (names, asked) = (Arc::clone(&dns.names), Arc::clone(&dns.asked));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((read, peer)) = udp.recv_from(&mut buffer) {
                if let Some(answer) = answer(&buffer[..read], false, &names, &asked) {
                    let _ = udp.send_to(&answer, peer);
                }
            }
        });
        let (names, asked) = (Arc::clone(&dns.names), Arc::clone(&dns.asked));
        thread::spawn(move || {
            for mut stream in tcp.incoming().flatten() {
                let (names, asked) = (Arc::clone(&names), Arc::clone(&asked));
                thread::spawn(move || {
                    let mut length = [0; 2];
                    while stream.read_exact(&mut length).is_ok() {
                        let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
                        if stream.read_exact(&mut question).is_err() {
                            return;
                        }
                        let Some(answer) = answer(&question, true, &names, &asked) else {
                            continue;
                        };
                        let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
                        if stream.write_all(&[&length[..], &answer].concat()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Ok(dns)
    }

    /// From now on this is the answer to questions about a name; a name without any does not exist.
    pub fn set(&self, name: &str, reply: Reply) {
        self.names
            .lock()
            .unwrap()
            .insert(name.to_ascii_lowercase(), reply);
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How often addresses of a name were asked for.
    pub fn count(&self, name: &str) -> usize {
        self.asked()
            .iter()
            .filter(|(asked, kind, _)| asked == name && *kind != AAAA)
            .count()
    }
}

fn answer(
    question: &[u8],
    over_tcp: bool,
    names: &Mutex<HashMap<String, Reply>>,
    asked: &Mutex<Vec<Asked>>,
) -> Option<Vec<u8>> {
    let (name, end) = read_name(question)?;
    let kind = u16::from_be_bytes([*question.get(end)?, *question.get(end + 1)?]);
    asked.lock().unwrap().push((name.clone(), kind, over_tcp));
    let reply = names
        .lock()
        .unwrap()
        .get(&name)
        .cloned()
        .unwrap_or(Reply::Error(3));
    let reply = match reply {
        Reply::PerFamily(a, _) if kind == A => *a,
        Reply::PerFamily(_, aaaa) => *aaaa,
        other => other,
    };
    let reply = match reply {
        Reply::OverTcp(inner) if over_tcp => *inner,
        other => other,
    };
    let mut records = Vec::new();
    let (mut code, mut truncated) = (0, 0);
    match reply {
        Reply::Silence | Reply::PerFamily(..) => return None,
        Reply::Garbage => return Some(question[..12.min(question.len())].repeat(2)),
        Reply::Error(error) => code = error,
        Reply::OverTcp(_) => truncated = 0x02,
        Reply::Addresses(ttl, addresses) => {
            records.extend(
                addresses
                    .iter()
                    .filter_map(|one| address(&name, kind, ttl, *one)),
            );
        }
        Reply::Alias(ttl, target, inner, addresses) => {
            records.push(record(&name, 5, ttl, &encode(&target)));
            records.extend(
                addresses
                    .iter()
                    .filter_map(|one| address(&target, kind, inner, *one)),
            );
        }
        Reply::Services(ttl, services) if kind == SRV => {
            for (priority, weight, port, target) in services {
                let numbers = [priority, weight, port].map(u16::to_be_bytes).concat();
                records.push(record(
                    &name,
                    SRV,
                    ttl,
                    &[numbers, encode(&target)].concat(),
                ));
            }
        }
        Reply::Services(..) => {}
    }
    let mut out = question[..2].to_vec();
    out.extend([0x81 | truncated, 0x80 | code, 0, 1]);
    out.extend(u16::try_from(records.len()).unwrap().to_be_bytes());
    out.extend([0; 4]);
    out.extend(&question[12..end + 4]);
    out.extend(records.concat());
    Some(out)
}

/// A name in the question, and where it ends.
fn read_name(question: &[u8]) -> Option<(String, usize)> {
    let (mut at, mut labels) = (12, Vec::new());
    loop {
        let length = usize::from(*question.get(at)?);
        if length == 0 {
            return Some((labels.join(".").to_ascii_lowercase(), at + 1));
        }
        labels.push(String::from_utf8_lossy(question.get(at + 1..at + 1 + length)?).into_owned());
        at += 1 + length;
    }
}

fn encode(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(u8::try_from(label.len()).unwrap());
        out.extend(label.as_bytes());
    }
    out.push(0);
    out
}

fn address(name: &str, kind: u16, ttl: u32, address: IpAddr) -> Option<Vec<u8>> {
    match (kind, address) {
        (A, IpAddr::V4(address)) => Some(record(name, A, ttl, &address.octets())),
        (AAAA, IpAddr::V6(address)) => Some(record(name, AAAA, ttl, &address.octets())),
        _ => None,
    }
}

fn record(name: &str, kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut out = encode(name);
    out.extend(kind.to_be_bytes());
    out.extend([0, 1]);
    out.extend(ttl.to_be_bytes());
    out.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    out.extend(data);
    out
}
