//! The examples of `agent/examples`, as they stand there, with the real servers: an operator copies what is tested.
//!
//! Needs root, Debian's `nginx-light`, `mariadb-server`, `redis-server`, `dnsmasq-base` and `bind9-dnsutils`, and `baton` and
//! `prober` built in the same profile. Run with `--test-threads=1`.

mod active_active;
mod configurations;
mod files;
mod mysql;
mod nginx;
mod nodes;
mod redis;
mod writer;
