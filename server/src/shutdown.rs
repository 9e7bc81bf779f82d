//! Signals that end the server.

use tokio::signal::unix::{SignalKind, signal};

/// Exit code after a second signal.
const IMPATIENT_EXIT_CODE: i32 = 130;

/// Ready at the first SIGTERM or SIGINT. A second one ends the process at once.
///
/// # Errors
/// If the signals cannot be listened to.
pub fn requested() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "shutdown requested");
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::warn!("second signal; ending at once, what is acknowledged is in the WAL");
            std::process::exit(IMPATIENT_EXIT_CODE);
        });
    })
}
