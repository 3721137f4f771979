SELECT count(*)  AS DBCount  
FROM asyncoperation 
WHERE datablobid IS NULL
