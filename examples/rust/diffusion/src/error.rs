// SPDX-License-Identifier: MIT
//! Errors of calls, and how a callback stops one.
use crate::Status;
use std::error::Error as StdError;
use std::fmt;

/// The result of a call into the library.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed: its status and one line that names the option, file or state at fault.
#[derive(Debug)]
pub struct Error {
    status: Status,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(status: Status, message: impl Into<String>) -> Self {
        Error { status, message: message.into(), source: None }
    }

    /// An error with the status's own line, for calls that leave no text.
    pub(crate) fn of_status(status: Status) -> Self {
        Error::new(status, status.help().unwrap_or("unknown status"))
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Error::new(Status::INVALID_ARGUMENT, message)
    }

    pub(crate) fn shape(what: &str, given: usize, expected: usize) -> Self {
        let message = format!("'{what}' has {given} elements; {expected} are expected");
        Error::new(Status::SHAPE_MISMATCH, message)
    }

    pub(crate) fn with_source(mut self, source: Option<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = source;
        self
    }

    /// The status, never [`Status::OK`].
    pub fn status(&self) -> Status {
        self.status
    }

    /// The C name of the status, as "DM_ERROR_IO".
    pub fn status_name(&self) -> &'static str {
        crate::status_name(self.status)
    }

    /// The reason, as "unet: 'norm_groups' is 30; it must divide every entry of 'channels'".
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The source is the error that a callback returned, if that is why the call failed.
impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|e| e as &(dyn StdError + 'static))
    }
}

/// Returned by a callback to stop the call that runs it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Stop {
    /// Stops a run of training, sampling or evaluation with [`Status::CANCELLED`], and other calls
    /// with [`Status::CALLBACK_FAILED`].
    Cancel,
    /// Stops with [`Status::CALLBACK_FAILED`]. The error's text becomes part of the call's
    /// message, and the error its source.
    Error(Box<dyn StdError + Send + Sync>),
}

impl Stop {
    /// A failure with a text of its own.
    pub fn failure(text: impl Into<String>) -> Self {
        Stop::Error(text.into().into())
    }
}

/// So that `?` works in callbacks.
impl<E: StdError + Send + Sync + 'static> From<E> for Stop {
    fn from(error: E) -> Self {
        Stop::Error(Box::new(error))
    }
}

/// What callbacks return: Ok to go on.
pub type CallbackResult<T = ()> = std::result::Result<T, Stop>;
