//! Checks of the folders that were named: whether they exist, lie apart from each other, and may be
//! used.

use std::path::{Path, PathBuf};

use super::error::{Checked, wrong};
use super::log_dir::LogDirChoice;
use crate::model::shown;
use crate::tree::{Dir, LOG_DIR_TAG};

pub(super) fn root(flag: &str, path: Option<&Path>) -> Checked<PathBuf> {
    let Some(path) = path.filter(|path| !path.as_os_str().is_empty()) else {
        return wrong(format!("{flag} is empty: give the folder"));
    };
    let resolved = path.canonicalize().or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            wrong(format!("{flag} {}: no such folder. {}", shown(path), missing_folder(path)))
        }
        _ => wrong(format!("{flag} {}: {error}", shown(path))),
    })?;
    if !resolved.is_dir() {
        return wrong(format!(
            "{flag} {} is not a folder: give the folder that holds it",
            shown(path)
        ));
    }
    if resolved.join(LOG_DIR_TAG).symlink_metadata().is_ok() {
        return wrong(format!(
            "{flag} {} is a log directory of ha-sync (it holds {LOG_DIR_TAG}): choose another folder",
            shown(path)
        ));
    }
    Ok(resolved)
}

/// The advice for a folder that does not exist.
fn missing_folder(path: &Path) -> &'static str {
    let text = path.to_string_lossy();
    let first = text.split('/').next().unwrap_or_default();
    if first.len() > 1 && first.contains(':') {
        "One on another machine has to be mounted here first (NFS, SMB, sshfs): give the folder it is mounted on"
    } else if first.starts_with('~') {
        "A shell expands ~ only at the beginning of a word: put a space in place of the =, or write $HOME"
    } else {
        "Create it, or mount what should be there, and try again"
    }
}

/// Refuses roots of which one lies inside the other, by whatever path or mount they are seen.
pub(super) fn check_apart(source: &Path, dest: &Path) -> Checked<()> {
    let ask = |flag: &str, path: &Path| {
        Dir::open_root(path).and_then(|dir| identities(&dir)).or_else(|error| {
            wrong(format!(
                "{flag} {} cannot be opened: {error}. Check its permissions",
                shown(path)
            ))
        })
    };
    let (sources, dests) = (ask("--src", source)?, ask("--dest", dest)?);
    if source == dest || sources.first() == dests.first() {
        return wrong(format!("--src and --dest are the same folder, {}: give two", shown(source)));
    }
    let inside = |inner: &Path, inners: &[Identity], outer: &Path, outers: &[Identity]| {
        inner.starts_with(outer) || outers.first().is_some_and(|outer| inners.contains(outer))
    };
    let nested = |inner: &str, outer: &str| {
        wrong(format!(
            "{inner} lies inside {outer}: a tree cannot be synced into itself. Move one of them"
        ))
    };
    if inside(source, &sources, dest, &dests) {
        return nested("--src", "--dest");
    }
    if inside(dest, &dests, source, &sources) {
        return nested("--dest", "--src");
    }
    Ok(())
}

/// What distinguishes a directory from every other one that is mounted: see [`Dir::identity`].
type Identity = (u32, u32, u64);

/// The identities of the directory and of all above it. The list ends at a directory that cannot be
/// opened: what lies above that one is not compared.
fn identities(dir: &Dir) -> std::io::Result<Vec<Identity>> {
    let mut found = vec![dir.identity()?];
    let mut above = dir.open_parent();
    while let Ok((dir, identity)) =
        above.and_then(|dir| dir.identity().map(|identity| (dir, identity)))
    {
        if found.last() == Some(&identity) {
            break;
        }
        found.push(identity);
        above = dir.open_parent();
    }
    Ok(found)
}

pub(super) fn check_writable(dest: &Path) -> Checked<()> {
    let writable = Dir::open_root(dest).and_then(|dir| dir.is_writable());
    writable.or_else(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::ReadOnlyFilesystem => "Remount it read-write",
            _ => "Run as a user who may write there, or change its permissions",
        };
        wrong(format!("--dest {} is not writable: {error}. {hint}", shown(dest)))
    })
}

/// Checks the log directory. It may lie inside a tree, where no sync touches it from then on. So it
/// must not be the tree itself, nor a folder with the user's own files.
pub(super) fn check_log_dir(choice: &LogDirChoice, roots: &[(&str, &Path)]) -> Checked<()> {
    let LogDirChoice::Given(path) = choice else { return Ok(()) };
    if path.as_os_str().is_empty() {
        return wrong("--log-dir is empty: give a folder");
    }
    let Ok(resolved) = path.canonicalize() else { return Ok(()) };
    if let Some((flag, _)) = roots.iter().find(|(_, root)| *root == resolved) {
        return wrong(format!("--log-dir is {flag} itself: give a folder of its own for the logs"));
    }
    let is_in_a_tree = roots.iter().any(|(_, root)| resolved.starts_with(root));
    if is_in_a_tree && !resolved.join(LOG_DIR_TAG).exists() && !is_empty(&resolved) {
        return wrong(format!(
            "--log-dir {} lies in a tree and holds files of other kinds: a log directory is left out of every sync, \
             and they would be, too. Give an empty or a new folder",
            shown(path)
        ));
    }
    Ok(())
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}
