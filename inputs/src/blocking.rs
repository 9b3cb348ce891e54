// SPDX-License-Identifier: Apache-2.0
//! Work with files, off the threads that futures run on.

use std::path::Path;

use crate::InputsError;

/// Does `work`, which is about `path`, on a thread of its own, so that the future that waits for it can be dropped at any
/// time. The work goes on then: `work` must own the directory that it writes to, so that this goes last.
pub(crate) async fn run<T, E>(
    path: &Path,
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, InputsError>
where
    T: Send + 'static,
    E: Into<InputsError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Into::into),
        Err(error) => Err(InputsError::Io { path: path.to_owned(), source: error.into() }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// The test's one thread would never come to drop the future otherwise.
    #[tokio::test]
    async fn who_waits_can_go() {
        let (done, wait) = mpsc::channel::<()>();
        let work = run(Path::new("/x"), move || {
            let _ = wait.recv();
            Ok::<_, InputsError>(())
        });
        assert!(tokio::time::timeout(Duration::from_millis(20), work).await.is_err());
        drop(done);
        assert_eq!(run(Path::new("/x"), || Ok::<_, InputsError>(5)).await.unwrap(), 5);
    }
}
