//! What a spec may cost to read. A folder is not trusted more than a stranger's file: it may come from a pull
//! request.

/// The most bytes of one file. Ten thousand tenants take about ten megabytes.
pub const FILE_BYTES: u64 = 16 * 1024 * 1024;
/// The most bytes of all files.
pub const TOTAL_BYTES: u64 = 64 * 1024 * 1024;
/// The most files of a folder.
pub const FILES: usize = 20_000;
/// The deepest folder below the one that was named.
pub const FOLDER_DEPTH: usize = 16;
/// The most YAML nodes of one file, with what aliases repeat. A tenant has about fifty.
pub const FILE_NODES: usize = 500_000;
/// The most YAML nodes of all files.
pub const TOTAL_NODES: usize = 2_000_000;
/// The most nodes that aliases may repeat in one document.
pub const ALIAS_NODES: usize = 20_000;
/// The deepest nesting of one document. The deepest field of a kind is at 9.
pub const DEPTH: usize = 48;
/// The most findings that are kept; a spec with more has one cause that repeats.
pub const FINDINGS: usize = 1_000;
