DROP TABLE step_execution_logs;
