//! Whole lives of clusters with the controller killed at every call that changes something in the cloud: once before
//! the call takes effect, once after it and before its answer arrives, and once with the call arriving late, when the
//! next controller has sent it again. What a life ends with must be what an undisturbed one ends with.
//!
//! The controller is the built program, under the permissions of its manifests, and dies by SIGKILL while its call is
//! in flight. The management cluster and the tenants' clusters are real API servers; the cloud is the emulator, which
//! holds the calls. All lives of the campaign run side by side, and one kill meets each of them at a call of its own.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on may panic")]
#![expect(unreachable_pub, reason = "the modules of a test are its own")]

mod calls;
mod emulator;
mod life;
mod spec;
mod stack;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use calls::{Edge, Share};
use emulator::account;
use life::{Kind, Life, PHASES, Phase};
use stack::Stack;

/// How long all lives together may take for a phase before the test gives up: many kills, on a machine that may build
/// beside the test.
const PATIENCE: Duration = Duration::from_secs(900);

/// At least so many calls change something in a life, or the campaign has lost its subject.
const FLOORS: [(Kind, usize); 2] = [(Kind::Nodes, 35), (Kind::Auto, 15)];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_kill_on_either_side_of_any_call_ends_in_the_same_state_with_one_cluster_and_nothing_left() {
    let mut stack = Stack::start().await;

    let mut calm = vec![Life::calm(Kind::Nodes, account(0)), Life::calm(Kind::Auto, account(1))];
    live(&mut stack, &mut calm).await;
    for (kind, floor) in FLOORS {
        let n = of_kind(&calm, kind).in_order().len();
        assert!(n >= floor, "an undisturbed life of {kind:?} makes {n} calls only");
    }

    let mut disturbed = Vec::new();
    for (kind, edge, of) in CAMPAIGN {
        let calls = of_kind(&calm, kind).in_order();
        for share in 0..of {
            let account = account(calm.len() + disturbed.len());
            disturbed.push(Life::disturbed(kind, account, edge, Share::new(&calls, share, of)));
        }
    }
    live(&mut stack, &mut disturbed).await;

    for life in &disturbed {
        let like = of_kind(&calm, life.kind);
        assert_eq!(life.made(), like.made(), "{}: other calls took effect", life.tenant);
        for (one, other) in like.states.iter().zip(&life.states) {
            let [one, other] = [one, other].map(|state| serde_json::to_string_pretty(state).unwrap());
            let difference = similar::TextDiff::from_lines(&one, &other);
            assert!(one == other, "{}: another end\n{}", life.tenant, difference.unified_diff());
        }
        assert_eq!(life.states.len(), like.states.len());
    }
    let mut points = 0;
    for (kind, edge, _) in CAMPAIGN {
        let lives = disturbed.iter().filter(|life| life.kind == kind && life.edge == Some(edge));
        let mut killed: Vec<_> = lives.flat_map(Life::killed_at).collect();
        killed.sort();
        let mut all = of_kind(&calm, kind).in_order();
        all.sort();
        assert_eq!(killed, all, "{kind:?} {edge:?}: not killed at every call");
        points += killed.len();
    }
    // Nobody reads it when the test passes, unless it is asked for; then it is the campaign's figure.
    stack.tell(format!("{points} kill points with {} kills", stack.kills));
}

/// In which lives controllers die, on which side of the calls. The calls of a long life are shared by several lives,
/// because one kill meets all lives at once: a life that dies half as often makes the campaign half as long.
const CAMPAIGN: [(Kind, Edge, usize); 5] = [
    (Kind::Nodes, Edge::Before, 2),
    (Kind::Nodes, Edge::After, 2),
    (Kind::Nodes, Edge::Late, 2),
    (Kind::Auto, Edge::Before, 1),
    (Kind::Auto, Edge::After, 1),
];

fn of_kind(lives: &[Life], kind: Kind) -> &Life {
    lives.iter().find(|life| life.kind == kind).unwrap()
}

/// Leads lives from nothing to nothing, side by side.
async fn live(stack: &mut Stack, lives: &mut [Life]) {
    stack.stop_controller().await;
    for life in lives.iter_mut() {
        life.found(stack).await;
    }
    stack.start_controller();
    for phase in PHASES {
        for life in lives.iter_mut() {
            life.begin(stack, phase).await;
        }
        go_through(stack, lives, phase).await;
        for life in lives.iter_mut() {
            life.note(stack, phase).await;
        }
    }
    let journal = stack.emulator.journal().await;
    for life in lives.iter_mut() {
        life.judge(&journal);
    }
}

/// Where a life is in a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Working,
    /// A call that no controller has died in yet is held.
    AtACall,
    Over,
}

/// Takes lives through a phase: whenever each is at a call or at the end, the controller is killed, until all are at
/// the end.
async fn go_through(stack: &mut Stack, lives: &mut [Life], phase: Phase) {
    let began = Instant::now();
    loop {
        let mut standings = BTreeMap::new();
        let held = stack.emulator.held().await;
        for life in lives.iter_mut() {
            let at = life.held(stack, &held).await;
            let standing = match at.is_empty() {
                false => Standing::AtACall,
                true if life.is_over(stack, phase).await => Standing::Over,
                true => Standing::Working,
            };
            standings.insert(life.tenant.clone(), standing);
        }
        if standings.values().all(|standing| *standing == Standing::Over) {
            // Whatever is still under way arrives now, and must change nothing.
            let mut late = false;
            for life in lives.iter_mut() {
                late |= life.let_late_calls_arrive(stack).await;
            }
            if !late {
                return;
            }
        } else if standings.values().all(|standing| *standing != Standing::Working) {
            crash(stack, lives).await;
        } else {
            stack.controller_must_run();
            if began.elapsed() > PATIENCE {
                panic!("waited in vain in {phase:?}: {standings:?}\n{}", stack.state_of_things().await);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Kills the controller while every life that is not at the end of a phase is at a call.
async fn crash(stack: &mut Stack, lives: &mut [Life]) {
    for life in lives.iter_mut() {
        life.let_late_calls_arrive(stack).await;
    }
    stack.kill_controller().await;
    let held = stack.emulator.held().await;
    for life in lives.iter_mut() {
        life.died(stack, &held).await;
    }
    stack.start_controller();
}
