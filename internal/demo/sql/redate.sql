-- The date of a sale is corrected. $1 id, $2 how long ago it was in truth
UPDATE sales SET created_at = now() - $2::interval, updated_at = now() WHERE id = $1
