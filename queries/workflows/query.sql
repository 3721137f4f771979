SELECT statecode,
      statuscode,
      operationtype,
      Count(*) AS count
FROM  asyncoperation
WHERE operationtype = 10
GROUP BY  statecode,
      statuscode,
      operationtype
ORDER BY Count DESC
