//! What the end-to-end tests stand on: a site with a private nginx, the real binary, jars, a load that can tell.

pub(crate) mod client;
pub(crate) mod jar;
pub(crate) mod load;
pub(crate) mod manifest;
pub(crate) mod nginx;
pub(crate) mod port;
pub(crate) mod process;
pub(crate) mod report;
pub(crate) mod site;
pub(crate) mod slotd;
pub(crate) mod socket;
pub(crate) mod status;
pub(crate) mod wait;
