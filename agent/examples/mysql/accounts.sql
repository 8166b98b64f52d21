-- On both nodes, before they replicate. It stays out of the binary log, or their histories would differ from the start.
SET SESSION sql_log_bin = 0;
CREATE OR REPLACE USER baton@'192.0.2.%' IDENTIFIED BY 'change-me';
GRANT REPLICATION SLAVE, REPLICATION SLAVE ADMIN, READ ONLY ADMIN ON *.* TO baton@'192.0.2.%';
