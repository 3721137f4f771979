SELECT TOP (10) job.name
      ,job.operationtypename
      ,job.startedon
      ,DATEDIFF(second, job.startedon, GETUTCDATE()) AS running_s
      ,usual.p95_s
      ,job.asyncoperationid
FROM asyncoperation AS job
JOIN (SELECT operationtype
            ,PERCENTILE_CONT(0.95) WITHIN GROUP (ORDER BY executiontimespan) AS p95_s
      FROM asyncoperation
      WHERE statecode = 3 AND executiontimespan IS NOT NULL
      GROUP BY operationtype) AS usual
  ON usual.operationtype = job.operationtype
WHERE job.statecode = 2
  AND DATEDIFF(second, job.startedon, GETUTCDATE()) > usual.p95_s
ORDER BY running_s DESC
