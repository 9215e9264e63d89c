//! The arrangement of the code, read from the code: which file imports which, and where `impl`
//! blocks live.
//!
//! What counts is the file that defines a name, however many re-exports lie in between: a `use` of
//! `super::Name` that leads through a `mod.rs` to its child is an import of the child. Paths that
//! are written out in the code count as imports. Tests inside the files do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::visit::Visit;
use syn::{Item, UseTree};

/// Which part must not import which others.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("pipeline/scan", &["pipeline/execute", "pipeline/delete"]),
    ("pipeline/execute", &["pipeline/scan", "pipeline/delete"]),
    ("pipeline/delete", &["pipeline/scan", "pipeline/execute"]),
    ("opslog", &["pipeline"]),
    ("ledger", &["pipeline"]),
    ("lock", &["pipeline"]),
    ("tree", &["pipeline"]),
    ("dashboard", &["pipeline", "tree", "opslog", "run"]),
];

/// The parts that import nothing of the house except these parts and themselves.
const ALLOWED: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("pipeline/classify", &["model"]),
    ("pipeline/join", &["model"]),
    ("bounded", &[]),
    ("time", &[]),
    ("stop", &["time"]),
    ("locked", &[]),
];

/// The text of every file of the house, by its path below `src` without `.rs` and `mod`.
type Sources = BTreeMap<String, String>;

/// The files that each file imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

fn sources() -> Sources {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Sources::new();
    let mut waiting = vec![root.clone()];
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).unwrap().with_extension("");
                let name = name.to_str().unwrap().trim_end_matches("/mod").to_owned();
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    found.retain(|name, _| !name.starts_with("bin/"));
    found
}

/// One file, parsed.
struct Module {
    items: Vec<Item>,
    /// The names that it brings into scope, with the full path of each.
    imported: BTreeMap<String, Vec<String>>,
    /// The full paths that are written out in its code, or imported with a star.
    written: Vec<Vec<String>>,
}

fn is_test(item: &Item) -> bool {
    let Item::Mod(module) = item else { return false };
    module.attrs.iter().any(|attr| attr.path().is_ident("cfg"))
}

/// The full path of `path` in the module: `super::a` in the module `m/n` is `m/a`. `None` if the
/// path leads out of the house.
fn resolve(module: &str, path: &[String], children: &BTreeSet<String>) -> Option<Vec<String>> {
    let mut base: Vec<String> =
        module.split('/').filter(|name| *name != "lib").map(str::to_owned).collect();
    let rest = match path.first()?.as_str() {
        "crate" => {
            base.clear();
            &path[1..]
        }
        "self" => &path[1..],
        "super" => {
            let above = path.iter().take_while(|name| *name == "super").count();
            base.truncate(base.len().saturating_sub(above));
            &path[above..]
        }
        first if children.contains(first) => path,
        _ => return None,
    };
    base.extend_from_slice(rest);
    Some(base)
}

fn flatten(tree: &UseTree, before: &mut Vec<String>, out: &mut Vec<(String, Vec<String>)>) {
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            flatten(&path.tree, before, out);
            before.pop();
        }
        UseTree::Name(name) if name.ident == "self" => {
            out.push((before.last().cloned().unwrap_or_default(), before.clone()));
        }
        UseTree::Name(name) => {
            let path = before.iter().cloned().chain([name.ident.to_string()]).collect();
            out.push((name.ident.to_string(), path));
        }
        UseTree::Rename(rename) => {
            let path = before.iter().cloned().chain([rename.ident.to_string()]).collect();
            out.push((rename.rename.to_string(), path));
        }
        UseTree::Glob(_) => out.push(("*".to_owned(), before.clone())),
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, before, out)),
    }
}

/// Collects every path of more than one name that is written out.
struct Written(Vec<Vec<String>>);

impl<'ast> Visit<'ast> for Written {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.0.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }

    /// `pub(in crate::pipeline)` imports nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_item_mod(&mut self, _: &'ast syn::ItemMod) {}

    fn visit_item_use(&mut self, _: &'ast syn::ItemUse) {}
}

fn parse(name: &str, source: &str) -> Module {
    let items: Vec<Item> =
        syn::parse_file(source).unwrap().items.into_iter().filter(|item| !is_test(item)).collect();
    let children = (items.iter())
        .filter_map(|item| match item {
            Item::Mod(module) => Some(module.ident.to_string()),
            _ => None,
        })
        .collect();
    let (mut imported, mut starred) = (BTreeMap::new(), Vec::new());
    let mut paths = Written(Vec::new());
    for item in &items {
        if let Item::Use(item) = item {
            let mut names = Vec::new();
            flatten(&item.tree, &mut Vec::new(), &mut names);
            for (alias, path) in names {
                if let Some(path) = resolve(name, &path, &children) {
                    if alias == "*" {
                        starred.push(path);
                    } else {
                        drop(imported.insert(alias, path));
                    }
                }
            }
        } else {
            paths.visit_item(item);
        }
    }
    let spelt_out = (paths.0.into_iter()).filter(|path| path.len() > 1).filter_map(|path| {
        match imported.get(&path[0]) {
            Some(full) => Some(full.iter().chain(&path[1..]).cloned().collect()),
            None => resolve(name, &path, &children),
        }
    });
    let written = spelt_out.chain(starred).collect();
    Module { items, imported, written }
}

/// The file that defines what a full path names.
fn home(modules: &BTreeMap<String, Module>, path: &[String]) -> Option<String> {
    let depth = (0..=path.len()).rev().find(|depth| {
        let file = path[..*depth].join("/");
        modules.contains_key(if *depth == 0 { "lib" } else { &file })
    })?;
    let file = if depth == 0 { "lib".to_owned() } else { path[..depth].join("/") };
    match path.get(depth).and_then(|name| modules[&file].imported.get(name)) {
        Some(elsewhere) => {
            home(modules, &elsewhere.iter().chain(&path[depth + 1..]).cloned().collect::<Vec<_>>())
        }
        None => Some(file),
    }
}

fn parse_all(sources: &Sources) -> BTreeMap<String, Module> {
    // A file of tests is declared by its parent, inside of `#[cfg(test)]`.
    let is_test = |name: &str| name.ends_with("/tests") || name.ends_with("/simulation");
    (sources.iter())
        .filter(|(name, _)| !is_test(name))
        .map(|(name, source)| (name.clone(), parse(name, source)))
        .collect()
}

fn imports(modules: &BTreeMap<String, Module>) -> Imports {
    let of = |name: &String, module: &Module| {
        let paths = module.imported.values().chain(&module.written);
        // A `mod.rs` names its children to show them to others. That is not an import.
        let shown = |path: &&Vec<String>| !module.items.iter().any(|item| shows(item, path));
        let homes = paths.filter(shown).filter_map(|path| home(modules, path));
        homes.filter(|home| home != name && home != "lib").collect::<BTreeSet<_>>()
    };
    modules.iter().map(|(name, module)| (name.clone(), of(name, module))).collect()
}

/// Whether an item re-exports the last name of a path. Such a name is not used in the file itself.
fn shows(item: &Item, path: &[String]) -> bool {
    let Item::Use(item) = item else { return false };
    if matches!(item.vis, syn::Visibility::Inherited) {
        return false;
    }
    let mut names = Vec::new();
    flatten(&item.tree, &mut Vec::new(), &mut names);
    names.iter().any(|(_, shown)| shown.last() == path.last())
}

/// Whether a file is that part of the house, or lies in it.
fn is_in(file: &str, part: &str) -> bool {
    file.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn forbidden(imports: &Imports) -> Vec<String> {
    let pairs = || imports.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to)));
    let mut found = Vec::new();
    for (part, others) in FORBIDDEN {
        let bad = pairs()
            .filter(|(from, to)| is_in(from, part) && others.iter().any(|other| is_in(to, other)));
        found.extend(bad.map(|(from, to)| format!("{from} imports {to}")));
    }
    for (part, others) in ALLOWED {
        let bad = pairs().filter(|(from, to)| {
            is_in(from, part) && !is_in(to, part) && !others.iter().any(|other| is_in(to, other))
        });
        found.extend(bad.map(|(from, to)| format!("{from} imports {to}")));
    }
    found
}

/// Groups of files that import each other, directly or through others. Each group comes once.
fn circles(imports: &Imports) -> Vec<String> {
    let reached = |from: &str| {
        let (mut seen, mut waiting) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(file) = waiting.pop() {
            for next in &imports[&file] {
                if seen.insert(next.clone()) {
                    waiting.push(next.clone());
                }
            }
        }
        seen
    };
    let all: BTreeMap<&str, BTreeSet<String>> =
        imports.keys().map(|file| (file.as_str(), reached(file))).collect();
    let mut groups = BTreeSet::new();
    for (file, seen) in all.iter().filter(|(file, seen)| seen.contains(**file)) {
        let group: BTreeSet<&str> =
            (seen.iter().map(String::as_str)).filter(|other| all[other].contains(*file)).collect();
        groups.insert(group.into_iter().collect::<Vec<_>>().join(" <-> "));
    }
    groups.into_iter().collect()
}

/// Inherent `impl` blocks that live outside the folder of their type.
fn strangers(modules: &BTreeMap<String, Module>) -> Vec<String> {
    let mut found = Vec::new();
    for (file, module) in modules {
        for item in &module.items {
            let Item::Impl(block) = item else { continue };
            let (None, syn::Type::Path(of)) = (&block.trait_, &*block.self_ty) else { continue };
            let Some(name) = of.path.segments.last().map(|segment| segment.ident.to_string())
            else {
                continue;
            };
            let Some(path) = module.imported.get(&name) else { continue };
            let Some(home) = home(modules, path) else { continue };
            let folder = home.rsplit_once('/').map_or("", |(folder, _)| folder);
            if !is_in(file, folder) && !is_in(file, &home) {
                found.push(format!("{file} has a block of {name}, which lives in {home}"));
            }
        }
    }
    found
}

#[test]
fn no_part_imports_what_it_must_not_know() {
    assert_eq!(forbidden(&imports(&parse_all(&sources()))), Vec::<String>::new());
}

#[test]
fn no_two_files_import_each_other() {
    assert_eq!(circles(&imports(&parse_all(&sources()))), Vec::<String>::new());
}

#[test]
fn what_a_type_can_do_lives_where_the_type_lives() {
    assert_eq!(strangers(&parse_all(&sources())), Vec::<String>::new());
}

/// The house with one more line in one of its files.
fn with(file: &str, line: &str) -> BTreeMap<String, Module> {
    let mut sources = sources();
    let source = sources.get_mut(file).unwrap();
    // After the module's head, before its first item.
    let head = source.lines().take_while(|line| line.starts_with("//!") || line.is_empty()).count();
    let lines: Vec<&str> = source.lines().collect();
    *source = [&lines[..head], &[line], &lines[head..]].concat().join("\n");
    parse_all(&sources)
}

#[test]
fn one_forbidden_import_is_found_however_it_is_written() {
    let cases = [
        ("pipeline/scan", "use super::execute::work;", "pipeline/scan imports pipeline/execute"),
        (
            "pipeline/scan/roots",
            "use crate::pipeline::delete::guard;",
            "pipeline/scan/roots imports pipeline/delete/guard",
        ),
        (
            "pipeline/scan/skipped",
            "fn f() { crate::pipeline::execute::work() }",
            "pipeline/scan/skipped imports pipeline/execute",
        ),
        (
            "pipeline/execute/symlink",
            "use crate::pipeline::{delete, scan};",
            "pipeline/execute/symlink imports pipeline/delete",
        ),
        ("pipeline/classify", "use crate::stop::Stop;", "pipeline/classify imports stop"),
        ("pipeline/join", "use super::Options;", "pipeline/join imports pipeline/options"),
        ("model/entry", "use crate::tree::Dir;", "model/entry imports tree/dir"),
        ("tree/dir", "use crate::pipeline::*;", "tree/dir imports pipeline"),
        (
            "opslog/writer",
            "use crate::pipeline::Recorder as R;",
            "opslog/writer imports pipeline/record",
        ),
        ("lock/file", "type T = crate::pipeline::Error;", "lock/file imports pipeline/error"),
    ];
    for (file, line, expected) in cases {
        let found = forbidden(&imports(&with(file, line)));
        assert!(found.iter().any(|one| one == expected), "{line} in {file}: {found:?}");
    }
}

#[test]
fn one_circle_and_one_block_elsewhere_are_found() {
    let found = circles(&imports(&with("pipeline/node", "use super::context::Context;")));
    assert!(found.iter().any(|circle| circle.contains("pipeline/node")), "{found:?}");
    let moved = "use super::context::Context as C; use crate::stop::Stop; impl Stop { fn f() {} }";
    let found = strangers(&with("pipeline/scan", moved));
    assert_eq!(found, ["pipeline/scan has a block of Stop, which lives in stop"]);
}
