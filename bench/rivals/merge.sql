-- Makes the table like the directory, in one transaction of psql's. $READ_DIRECTORY writes its people as CSV; when that
-- fails, so does \copy, and nothing is changed.
CREATE TEMPORARY TABLE staged AS
SELECT source_key, source_dn, display_name, given_name, family_name, title, department, organization, street, city, region,
       postal_code, emails, work_phones, mobile_phones
FROM people WITH NO DATA;

\copy staged FROM PROGRAM 'eval "exec $READ_DIRECTORY"' WITH (FORMAT csv)

ANALYZE staged;

MERGE INTO people AS p USING staged AS s ON p.source_key = s.source_key
WHEN NOT MATCHED THEN
    INSERT (source_key, source_dn, display_name, given_name, family_name, title, department, organization, street, city,
            region, postal_code, emails, work_phones, mobile_phones)
    VALUES (s.source_key, s.source_dn, s.display_name, s.given_name, s.family_name, s.title, s.department, s.organization,
            s.street, s.city, s.region, s.postal_code, s.emails, s.work_phones, s.mobile_phones)
WHEN MATCHED AND
    (p.source_dn, p.display_name, p.given_name, p.family_name, p.title, p.department, p.organization, p.street, p.city,
     p.region, p.postal_code, p.emails, p.work_phones, p.mobile_phones)
    IS DISTINCT FROM
    (s.source_dn, s.display_name, s.given_name, s.family_name, s.title, s.department, s.organization, s.street, s.city,
     s.region, s.postal_code, s.emails, s.work_phones, s.mobile_phones)
THEN UPDATE SET
    source_dn = s.source_dn, display_name = s.display_name, given_name = s.given_name, family_name = s.family_name,
    title = s.title, department = s.department, organization = s.organization, street = s.street, city = s.city,
    region = s.region, postal_code = s.postal_code, emails = s.emails, work_phones = s.work_phones,
    mobile_phones = s.mobile_phones
WHEN NOT MATCHED BY SOURCE THEN DELETE;
