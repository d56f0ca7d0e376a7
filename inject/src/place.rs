//! Finds the map or list for a change, and rejects a change that would affect another place too.

use crate::{
    problem::Wrong,
    yaml::{Id, Kind, Tree, is_null},
};

/// Where to insert something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The key does not exist.
    Missing,
    /// The key exists, and its value is a map, a list or null.
    There { key: Id, value: Id },
}

/// The value of this name, to be changed.
///
/// # Errors
/// It comes from an alias or a merge key, or an alias elsewhere refers to it.
pub(crate) fn place(tree: &Tree<'_>, map: Id, name: &str, list: bool) -> Result<Place, Wrong> {
    let Some(entry) = tree.entry(map, name) else {
        may_change(tree, tree.resolved(map), name)?;
        return Ok(Place::Missing);
    };
    let line = tree.node(entry.key).line;
    if !entry.own {
        let message =
            format!("`{name}` comes from a merge key (`<<`), and would change everywhere");
        return Err(Wrong::new(
            line,
            message,
            format!("write `{name}` out here"),
        ));
    }
    if let Kind::Alias(target) = tree.node(entry.value).kind {
        let anchor = tree.node(target).line;
        let message =
            format!("`{name}` is an alias of line {anchor}, and would change there as well");
        return Err(Wrong::new(line, message, "write it out here"));
    }
    may_change(tree, entry.value, name)?;
    let node = tree.node(entry.value);
    let fits = match &node.kind {
        Kind::List(_) => list,
        Kind::Map(_) => !list,
        _ => is_null(node),
    };
    if !fits {
        let wanted = if list { "list" } else { "map" };
        return Err(Wrong::new(
            line,
            format!("`{name}` is no {wanted}"),
            format!("write a {wanted}"),
        ));
    }
    Ok(Place::There {
        key: entry.key,
        value: entry.value,
    })
}

/// Rejects a node if an alias elsewhere refers to it or to a node around it.
pub(crate) fn may_change(tree: &Tree<'_>, id: Id, name: &str) -> Result<(), Wrong> {
    match tree.shared_around(id) {
        None => Ok(()),
        Some(shared) => {
            let line = tree.node(shared).line;
            let message = format!(
                "`{name}` is within an anchor at line {line} that an alias refers to, and would change there as well"
            );
            Err(Wrong::new(
                line,
                message,
                "write out what the alias stands for",
            ))
        }
    }
}

/// A scalar to be replaced, or `Missing`.
///
/// # Errors
/// As for [`place`].
pub(crate) fn scalar_place(tree: &Tree<'_>, map: Id, name: &str) -> Result<Place, Wrong> {
    let Some(entry) = tree.entry(map, name) else {
        may_change(tree, tree.resolved(map), name)?;
        return Ok(Place::Missing);
    };
    if !entry.own {
        let line = tree.node(entry.key).line;
        let message =
            format!("`{name}` comes from a merge key (`<<`), and would change everywhere");
        return Err(Wrong::new(
            line,
            message,
            format!("write `{name}` out here"),
        ));
    }
    may_change(tree, entry.value, name)?;
    Ok(Place::There {
        key: entry.key,
        value: entry.value,
    })
}
