SELECT statecode,
      statuscode,
      operationtype,
      Count(*) AS count
FROM  asyncoperation
GROUP BY  statecode,
      statuscode,
      operationtype
ORDER BY Count DESC
