module emily

go 1.26
