SELECT statecode,
      statuscode,
      operationtype,
      Count(*) AS count
FROM  asyncoperation
WHERE statecode = 1
GROUP BY  statecode,
      statuscode,
      operationtype
ORDER BY Count DESC
