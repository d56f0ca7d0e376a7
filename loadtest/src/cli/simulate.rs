//! `outrigger-loadtest simulate`: failing endpoints, until it is interrupted.

use std::process::ExitCode;

use clap::Args;

use super::process::Placement;
use super::{FAILED, USAGE, fail, interrupted, print};
use crate::simulator::{Simulator, Spec};

/// Serve several endpoints that are slow, broken or dead
///
/// Each endpoint is `[NAME] [port=N] key=value ...`; without settings it returns 200 at once:
///   latency=TIME      or lognormal:MEDIAN:SIGMA, pareto:LEAST:ALPHA, with :CAP as maximum
///   slots=N           concurrent requests
///   fail=10%:503      failures, status 503 by default; retry-after=SECONDS adds the header
///   hang=10%          requests without a response
///   reset=10%:head    or :body, in the middle of it
///   drip=CHUNKS:TIME  the body in chunks
///   down=FROM..TO     dead for that time; may be repeated
///   body=SIZE
///   checks=same       /healthz behaves like other paths, instead of always returning 200
///
/// The control port has GET /stats, GET /endpoints, POST /reset (counters and schedules) and
/// PUT /endpoints/NAME with new settings as body. Requests are identified by their header
/// x-load-id, which `run --number-from` sends.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Simulate {
    /// An endpoint; may be repeated
    #[arg(short, long = "endpoint", value_name = "WORDS", required = true)]
    endpoints: Vec<String>,

    /// Port of the control interface on 127.0.0.1; 0 lets the kernel choose
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    control: u16,

    /// Seed of the random numbers
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    #[command(flatten)]
    placement: Placement,
}

impl Simulate {
    pub(super) fn placement(&self) -> Placement {
        self.placement
    }

    pub(super) async fn execute(self) -> ExitCode {
        let specs = match self
            .endpoints
            .iter()
            .enumerate()
            .map(|(index, words)| spec(index, words))
            .collect()
        {
            Ok(specs) => specs,
            Err(problem) => {
                eprintln!("outrigger-loadtest: --endpoint: {problem}");
                return ExitCode::from(USAGE);
            }
        };
        let simulator = match Simulator::start(specs, self.control, self.seed).await {
            Ok(simulator) => simulator,
            Err(error) => return fail(FAILED, &error),
        };
        for (name, address) in simulator.endpoints() {
            print(format_args!("listening name={name} address={address}"));
        }
        print(format_args!("listening control={}", simulator.control()));
        let outcome = interrupted().await.and(simulator.stop().await);
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(FAILED, &error),
        }
    }
}

/// Parses `[NAME] [port=N] key=value ...`; endpoints without a name are e0, e1 and so on.
fn spec(index: usize, words: &str) -> Result<Spec, String> {
    let (mut name, mut port, mut rest) = (format!("e{index}"), 0, Vec::new());
    for (position, word) in words.split_whitespace().enumerate() {
        match word.split_once('=') {
            None if position == 0 => word.clone_into(&mut name),
            Some(("port", number)) => {
                port = number
                    .parse()
                    .map_err(|_| format!("port: {number:?} is not a port"))?
            }
            _ => rest.push(word),
        }
    }
    Ok(Spec {
        name,
        port,
        behaviour: rest.join(" ").parse()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_port_stand_among_the_words() {
        let slow = spec(0, "slow port=8081 latency=50ms").unwrap();
        assert_eq!((slow.name.as_str(), slow.port), ("slow", 8081));
        assert_eq!(slow.behaviour.to_string(), "latency=50ms body=64");
        assert_eq!(spec(2, "fail=1%").unwrap().name, "e2");
        assert_eq!(spec(0, "port=x").unwrap_err(), "port: \"x\" is not a port");
        assert!(spec(0, "one two").unwrap_err().contains("two"));
    }
}
