//! The engine's tick: looks at every member, adds the waves up, decides, and says what to write.

use fleet_api::v1alpha1::{MemberState, RolloutMemberStatus};
use jiff::SignedDuration;

use super::{
    Tick, World, back,
    back::Back,
    begin::{self, Windows},
    ledger::{self, Book, Found},
    member, moves,
    scene::{Scene, after},
    summary::{self, Sum},
    twist::Twist,
    waves::{self, WaveFacts},
};

/// The most records of which nothing but the words for people are written in one tick: what is beyond waits for the next.
const WORDS: usize = 100;

/// After how long a rollout that is not over is looked at again, whatever is expected to happen when.
const PATIENCE: SignedDuration = SignedDuration::from_mins(15);

pub(super) fn tick(world: &World<'_>, twist: Twist) -> Tick {
    let Some(scene) = Scene::new(world, twist) else { return summary::without_target(world) };
    let members = scene.members();
    let current = first_open_wave(&scene);
    let nexts: Vec<_> = members.iter().map(|member| member::next(&scene, member, current)).collect();
    let book = Book::read(&scene, &members);
    let mut waves = WaveFacts::gather(&scene, &members, &nexts);
    // A wave of which some members were not read is smaller than it is: it would pass too early, and stop too early.
    let whole = book.unseen == 0;
    let sound = whole && summary::broken(&scene, &members).is_empty();
    waves::judge(&scene, &mut waves, sound, book.up_to_date);

    let backs: Vec<Back> = members
        .iter()
        .map(|member| {
            let wave_goes_back = whole && waves.get(member.wave).is_some_and(|wave| wave.goes_back(&scene));
            back::judge(&scene, member, wave_goes_back)
        })
        .collect();
    let mut nexts = nexts;
    let mut windows = Windows::default();
    let begins: Vec<_> = members
        .iter()
        .zip(&mut nexts)
        .map(|(member, next)| {
            let waits = |state| matches!(state, MemberState::Pending | MemberState::Preflight);
            let stays = waits(member.state()) && waits(next.status.state) && next.wish.is_none();
            if stays && (!sound || member.flaw.is_some()) {
                // That a rollout contradicts itself is why people abort it, and the end is told all the same.
                begin::tell_the_end(&scene, &mut next.status);
                return None;
            }
            stays.then(|| begin::judge(&scene, member, &waves, &mut windows, &mut next.status))
        })
        .collect();
    let found = Found { members: &members, nexts: &nexts, begins: &begins, backs: &backs };
    let decided = ledger::decide(&scene, &found, &waves, &book);

    let mut words = 0;
    let mut changed = Vec::new();
    for (member, record) in members.iter().zip(&decided.records) {
        let was = member.was();
        if record == was {
            continue;
        }
        if is_only_words(was, record) {
            words += 1;
            if words > WORDS {
                continue;
            }
        }
        changed.push((member.name.to_owned(), member.view.version.to_owned(), record.clone()));
    }
    let set = members
        .iter()
        .filter_map(|member| Some((member.name.to_owned(), moves::due(&scene, member)?)))
        .collect();

    let soon = (decided.more || words > WORDS).then(|| after(scene.now, SignedDuration::from_secs(1)));
    let sum = Sum { found: &found, waves, book: &book, decided: &decided };
    let summary = summary::summary(&scene, sum);
    let wake_at = if summary.at_rest {
        // Words that did not fit into this tick are still to be written.
        soon
    } else {
        let times = nexts.iter().filter_map(|next| next.wake);
        let slots =
            members.iter().zip(&nexts).filter_map(|(_, next)| next.status.not_before.as_ref().map(|t| t.0));
        times
            .chain(slots)
            .chain(summary.wake)
            .filter(|at| *at > scene.now)
            .chain(soon)
            .chain([after(scene.now, PATIENCE)])
            .min()
    };
    Tick {
        status: (summary.status != *scene.was()).then_some(summary.status),
        members: changed,
        moves: set,
        wake_at,
    }
}

/// The first wave that had not passed when the rollout was read.
fn first_open_wave(scene: &Scene<'_>) -> usize {
    let passed =
        |name: &str| scene.was().waves.iter().any(|wave| wave.name == name && wave.passed_at.is_some());
    let waves = &scene.spec().waves;
    waves.iter().position(|wave| !passed(&wave.name)).unwrap_or(waves.len())
}

/// Whether two records differ in nothing that is decided upon.
fn is_only_words(was: &RolloutMemberStatus, record: &RolloutMemberStatus) -> bool {
    was.seq == record.seq
        && was.granted_by == record.granted_by
        && was.entries == record.entries
        && was.attempt == record.attempt
        && was.offline_since == record.offline_since
        && was.back_started_at == record.back_started_at
        && was.started_at == record.started_at
        && was.since == record.since
        && was.arrived_at == record.arrived_at
}
