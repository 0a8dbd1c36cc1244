# Rscript penalised_folds.R: writes penalised_folds.json beside it (Debian: r-cran-glmnet, r-cran-survival, r-cran-jsonlite)
# folds.json holds the folds that Isthmus draws (seed 7); test_penalised_folds.py makes them again.
library(glmnet)
library(jsonlite)
library(survival)
glmnet.control(mnlam = 1, fdev = 0, devmax = 1, epsnr = 1e-14, mxitnr = 200)
folds <- fromJSON("folds.json")
rows <- read.csv("cohort.csv")
X <- model.matrix(~ age + dose + arm + sex + smoker + years + w, rows)[, -1]
y <- list(gaussian = rows$bp, binomial = rows$ill, poisson = rows$visits)
told <- function(fit) list(lambda = fit$lambda, mean = fit$cvm, error = fit$cvsd, lambda_min = fit$lambda.min, lambda_1se = fit$lambda.1se)
found <- list(software = list(R = R.version.string, glmnet = as.character(packageVersion("glmnet"))))
for (family in names(y)) {
  lambda <- if (family == "gaussian") c(4, 2, 0.6, 0.2, 0.02) else c(0.1, 0.03, 0.01, 0.001)
  found[[family]] <- told(cv.glmnet(X, y[[family]], family = family, lambda = lambda, foldid = folds[[family]] + 1, thresh = 1e-20, maxit = 1e7))
}
glmnet.control(epsnr = 1e-16, mxitnr = 20000) # its descent takes a diagonal information
survived <- read.csv("survival.csv")
S <- model.matrix(~ x + age + arm, survived)[, -1]
survival <- function(y, fold = folds$cox) told(cv.glmnet(S, y, family = "cox", lambda = c(0.1, 0.03), foldid = fold + 1, thresh = 1e-20, maxit = 1e7))
y <- with(survived, Surv(time, event))
found$cox <- survival(stratifySurv(y, survived$site))
found$one_baseline <- survival(y)
found$late <- survival(with(survived, Surv(entry, time, event)), folds$late)
write(toJSON(found, digits = 17, auto_unbox = TRUE), "penalised_folds.json")
