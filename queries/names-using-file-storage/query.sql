SELECT operationtypename
      ,name
      ,friendlymessage
      ,count(*) AS Jobs  
FROM asyncoperation
WHERE datablobid IS NOT NULL 
GROUP BY operationtypename, name, friendlymessage
ORDER BY Jobs DESC
