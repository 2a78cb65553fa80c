DROP FUNCTION node_bury, node_renew;
DROP TABLE online, nodes;
