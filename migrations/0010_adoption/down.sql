DROP TABLE adopted_notes;
DROP TABLE adopted_leftovers;
