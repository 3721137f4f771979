SELECT count(*) AS FileStorageCount 
FROM asyncoperation  
WHERE  datablobid IS NOT NULL
