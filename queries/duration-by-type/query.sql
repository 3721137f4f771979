SELECT operationtypename
      ,COUNT(*) AS jobs
      ,ROUND(PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY executiontimespan), 3) AS p50_s
      ,ROUND(PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY executiontimespan), 3) AS p95_s
      ,MAX(executiontimespan) AS longest_s
FROM asyncoperation
WHERE statecode = 3 AND executiontimespan IS NOT NULL
GROUP BY operationtypename
ORDER BY p95_s DESC
