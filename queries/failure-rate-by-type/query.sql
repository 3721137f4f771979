SELECT operationtypename
      ,COUNT(*) AS ended
      ,SUM(CASE WHEN statuscode = 31 THEN 1 ELSE 0 END) AS failed
      ,ROUND(100.0 * SUM(CASE WHEN statuscode = 31 THEN 1 ELSE 0 END) / COUNT(*), 1) AS failed_percent
FROM asyncoperation
WHERE statecode = 3
GROUP BY operationtypename
ORDER BY failed_percent DESC
