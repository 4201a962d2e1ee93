DROP TABLE batch_inputs;
DROP TABLE batches;
