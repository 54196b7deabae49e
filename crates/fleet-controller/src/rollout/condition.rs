//! Where the conditions of gates are judged: on a thread with a stack that no expression uses up.

use std::io;

use fleet_spec::condition::STACK;

/// Runs something that judges conditions on a thread of its own.
///
/// # Errors
/// No thread can be had, or it ended in a fault.
pub(super) async fn on_deep_stack<T: Send + 'static>(
    judge: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (told, answer) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("conditions".to_owned()).stack_size(STACK).spawn(move || {
        // Nobody waits any more when the controller has ended.
        drop(told.send(judge()));
    })?;
    answer.await.map_err(io::Error::other)
}
