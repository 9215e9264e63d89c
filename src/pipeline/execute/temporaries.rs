//! What happens to temporaries: they are made under a free name, and removed if they are not
//! needed.

use std::io;

use super::tools::Tools;
use crate::pipeline::halt::{Doing, Halt, OpResult};
use crate::tree::{File, Temporary};

/// A temporary that was just made. If its name was taken, the next attempt uses another one.
pub(super) fn made<T>(created: io::Result<T>, doing: &str) -> OpResult<T> {
    match created {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Halt::Overtaken),
        created => created.at_dest(doing),
    }
}

impl Tools<'_> {
    /// Ends an operation whose temporary is not needed any more, and removes the temporary.
    pub(super) fn give_up<T>(&self, temporary: Temporary<'_>, halt: Halt) -> OpResult<T> {
        self.sweep_away(temporary);
        Err(halt)
    }

    /// Closes a file that is not needed any more, and empties it first. Data that the kernel has
    /// not sent yet would keep an NFS client from removing the file. It would stay as `.nfs…` for
    /// half a minute, and for ever if this machine went down.
    pub(super) fn abandon(&self, file: File) {
        if self.context.options.io.dest_on_network && !self.context.stop.forbids_changes() {
            let _removed_all_the_same = file.set_len(0);
        }
        let _not_needed = file.close();
    }

    /// Removes a temporary. If it cannot or may not be removed any more, the next run sweeps it.
    pub(super) fn sweep_away(&self, temporary: Temporary<'_>) {
        if self.context.stop.forbids_changes() {
            temporary.abandon();
        } else {
            let _swept_later = temporary.discard();
        }
    }
}
