//! Golden logs of ten typical rollouts: `tests/golden/NAME.txt`. With `UPDATE_GOLDEN=1` they are written anew, to be read
//! before they are committed.

use std::{fs, path::Path};

use fleet_simulator::{replay, typical};

#[test]
fn ten_typical_rollouts_go_as_their_logs_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut wrong = Vec::new();
    for (name, scenario) in typical::all() {
        let outcome = replay(&scenario, &fleet_plan::rollout::tick);
        assert_eq!(outcome.violation, None, "{name}");
        let log = format!("{}ended {:?}: {:?}\n", outcome.log.unwrap(), outcome.phase, outcome.states);
        let file = folder.join(format!("{name}.txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&file, &log).unwrap();
        }
        if fs::read_to_string(&file).unwrap_or_default() != log {
            wrong.push(format!("--- {name} went otherwise:\n{log}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
