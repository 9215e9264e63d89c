//! Links between the pages.

use std::fs;
use std::path::Path;

use super::pages;

/// `](target)` of every link in a page, code left out.
fn links(text: &str) -> Vec<String> {
    let mut is_code = false;
    let prose = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        is_code ^= fence;
        !is_code && !fence
    });
    let targets =
        prose.flat_map(|line| line.split("](").skip(1).filter_map(|rest| rest.split(')').next()));
    targets.map(str::to_owned).collect()
}

/// A heading as it is linked to.
fn anchor(heading: &str) -> String {
    let kept = heading
        .trim_start_matches('#')
        .trim()
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn has_anchor(page: &Path, wanted: &str) -> bool {
    let text = fs::read_to_string(page).unwrap();
    text.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == wanted)
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    for page in pages() {
        for link in links(&fs::read_to_string(&page).unwrap()) {
            if link.starts_with("http") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target =
                if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            if !target.exists() || (!heading.is_empty() && !has_anchor(&target, heading)) {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// A page that nothing leads to is not read.
#[test]
fn every_page_is_linked_from_the_readme() {
    let root = super::project();
    let readme = links(&fs::read_to_string(root.join("README.md")).unwrap());
    for page in pages() {
        let name = page.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let is_linked = readme.iter().any(|link| link.split('#').next() == Some(name.as_str()));
        assert!(is_linked || name == "README.md" || name.starts_with("scripts/"), "{name}");
    }
}
