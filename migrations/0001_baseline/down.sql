DROP TABLE messages;
DROP TABLE session_roles;
DROP TABLE sessions;
DROP TABLE flow_steps;
DROP TABLE flow_templates;
DROP TABLE roles;
